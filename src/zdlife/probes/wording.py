"""The facts of an instance in words: one wording for the status page and the terminal.

What comes from strangers (routes, ids, what a check said) goes through `clean` before it is shown anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]
"""What `GET /status` answers on the management port, read from its JSON; docs/howto/status.md names the keys."""

NOTHING = "–"
"""Stands where there is nothing to tell, which is not the same as a zero."""

ARRIVING_PHASES = ("starting", "warming")
LEAVING = ("settling", "draining", "stopping", "stopped")
NAMED_WORKERS = 3
LONGEST = 160

_STANDING = {
    "starting": "the application is being loaded",
    "warming": "it is warming up",
    "settling": "it was told to stop, and serves on until the load balancer has noticed",
    "draining": "it takes no new connections, and finishes what is in flight",
    "stopping": "nothing is in flight any more; the stop hooks run",
    "stopped": "it has stopped",
    "manual": "it was taken out by hand",
    "stale": "a check has no result that is recent enough",
    "silent": "a worker has fallen silent",
}
_CHECK = {"fail": "fails", "warn": "passes with a caution", "unknown": "has not been run yet", "pass": "passes"}
_WARMER = {
    "waiting": "has not begun",
    "running": "is running",
    "done": "is done",
    "late": "is late",
    "failed": "failed",
    "elsewhere": "runs in another worker",
}


def clean(text: object, *, longest: int = LONGEST) -> str:
    """Return `text` on one line without anything that could steer a terminal or turn the direction of writing."""
    found = str(text)
    if len(found) > longest:
        found = f"{found[: longest - 1]}…"
    return (
        found if found.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in found)
    )


def duration(seconds: float | None) -> str:
    """Return seconds for people: `3 ms`, `1.3 s`, `45 s`, `3 min 12 s`, `2 h 05 min`, `4 d 3 h`."""
    if seconds is None:
        return NOTHING
    if seconds < 59.5:
        return _short(max(0.0, seconds))
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def _short(seconds: float) -> str:
    if seconds < 0.00095:
        return f"{seconds * 1000:.1g} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s".replace(".0 s", " s") if seconds < 9.95 else f"{seconds:.0f} s"


def clock(at: float, *, now: float) -> str:
    """Return a moment in UTC, with its day unless that is today."""
    moment, today = time.gmtime(at), time.gmtime(now)
    day = "" if moment[:3] == today[:3] else time.strftime("%d %b ", moment)
    return f"{day}{time.strftime('%H:%M:%S', moment)}"


def count(number: int, *, one: str, many: str) -> str:
    """Return `1 worker`, `3 workers`."""
    return f"{number:,} {one if number == 1 else many}"


def whose(pids: Sequence[int], *, of: int) -> str:
    """Return which workers are meant: nothing where there is one, `in all 3 workers`, `in 1 of 3 workers (42)`."""
    if of <= 1 or not pids:
        return ""
    if len(pids) == of:
        return "in both workers" if of == 2 else f"in all {of} workers"
    named = ", ".join(str(pid) for pid in pids[:NAMED_WORKERS])
    more = ", …" if len(pids) > NAMED_WORKERS else ""
    return f"in {len(pids)} of {of} workers ({named}{more})"


def headline(facts: Facts) -> str:
    """Return in two or three words whether the instance takes requests."""
    if facts["status"] == "pass":
        return "Ready"
    if facts["status"] == "warn":
        return "Ready, but degraded"
    if facts["phase"] in LEAVING:
        return "Stopped" if facts["phase"] == "stopped" else "Leaving"
    return "Not ready yet" if facts["phase"] in ARRIVING_PHASES else "Not ready"


def because(reason: Mapping[str, Any], facts: Facts) -> str:
    """Return one reason as a sentence: what is wrong, where, and what was said."""
    kind, _, name = reason["reason"].partition(":")
    if kind == "check":
        return _of_a_check(name, facts)
    if kind in ("warmer", "warmth"):
        return _of_a_warmer(reason["reason"], name, facts)
    if kind == "workers":
        workers = facts["workers"]
        lost = f"; {workers['lost']} lost" if workers["lost"] else ""
        return f"{workers['ready']} of {count(workers['expected'], one='worker', many='workers')} ready{lost}"
    said = _STANDING.get(reason["reason"], clean(reason["reason"]))
    among = whose(reason["workers"], of=facts["workers"]["expected"])
    return f"{said}, {among}" if among and len(reason["workers"]) < facts["workers"]["expected"] else said


def _of_a_check(name: str, facts: Facts) -> str:
    named = [check for check in facts["checks"] if check["name"] == name]
    if not named:
        return f"check {clean(name)}"
    (check,) = named
    saying = [worker for worker in check["workers"] if worker["status"] == check["status"]]
    among = whose([worker["pid"] for worker in saying], of=len(check["workers"]))
    known = check["status"] != "unknown"
    why = next((f": {clean(worker['why'])}" for worker in saying if known and worker["why"]), "")
    harmless = ". It only degrades: nothing is taken out for it" if check["kind"] == "degrades" else ""
    said = f"check {clean(name)} {_CHECK[check['status']]} {among}".rstrip()
    return f"{said}{why}{harmless}"


def warmers_of(word: str, facts: Facts) -> list[Mapping[str, Any]]:
    """Return what each worker says of the warmer, or the measured hit rate, that a reason names."""
    named = [warmer for warmer in facts["warmers"] if word == f"{warmer['kind']}:{warmer['name']}"]
    return [worker for warmer in named for worker in warmer["workers"]]


def warmer_name(kind: str, name: str) -> str:
    """Return what a warmer is called where people read it."""
    return clean(name) if kind == "warmer" else f"{clean(name)} (hit rate, %)"


def _of_a_warmer(word: str, name: str, facts: Facts) -> str:
    workers, kind = warmers_of(word, facts), "warmer" if word.startswith("warmer") else "hit rate"
    pending = [worker for worker in workers if worker["status"] not in ("done", "elsewhere")]
    if not pending:
        return f"{kind} {clean(name)}"
    first = pending[0]
    same = [worker["pid"] for worker in pending if worker["status"] == first["status"]]
    among = whose(same, of=len(workers))
    why = f": {clean(first['why'])}" if first["why"] else ""
    said = f"{kind} {clean(name)} {_WARMER[first['status']]} {among}".rstrip()
    return f"{said}{why}"
