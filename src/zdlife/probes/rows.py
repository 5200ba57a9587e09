"""The rows of what a person is told: workers, what is in flight, checks, warmers.

Sixty-four workers and ten checks of each make more rows than anybody reads: workers that say the same share one, those
that want attention come first, and the others are counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from zdlife.palette import BAD, CAUTION, GOOD
from zdlife.probes.wording import LEAVING, NOTHING, Facts, clean, clock, count, duration, warmer_name, whose

MOST_WORKERS = 16
MOST_FLIGHTS = 25
MOST_GROUPS = 4
MOST_BARS = 6
OLD = 10.0
"""Seconds after which what is in flight is pointed at, or fewer where the drain is shorter."""

Tone = Literal["good", "caution", "bad", "faint"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A verdict: a colour, and what stands for it where there is none."""

    tone: Tone
    glyph: str
    word: str


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker. `mark` is bad where it is stuck."""

    mark: Mark
    pid: int
    phase: str
    version: str
    requests: str
    in_flight: int
    oldest: str
    beat: str
    note: str


@dataclass(frozen=True, slots=True)
class Workers:
    """How many there are and should be; those that want attention first, and the rest in one sentence."""

    mark: Mark
    sentence: str
    rows: list[WorkerRow]
    rest: str


@dataclass(frozen=True, slots=True)
class Flight:
    """Something in flight. `share` is its age as a share of the oldest one's."""

    kind: str
    what: str
    id: str
    worker: int
    age: str
    share: float
    old: bool


@dataclass(frozen=True, slots=True)
class Flights:
    """What is in flight, oldest first, and how much more there is."""

    sentence: str
    rows: list[Flight]
    rest: str


@dataclass(frozen=True, slots=True)
class Beat:
    """One run of a check. `height` is how much of its timeout it took, as the eye sees it."""

    mark: Mark
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Said:
    """What some workers say of a check, all the same; the runs are those of the first of them."""

    mark: Mark
    whose: str
    why: str
    since: str
    latency: str
    runs: list[Beat]
    tally: str


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check, and what is said of it, the worst first."""

    mark: Mark
    name: str
    kind: str
    pace: str
    said: list[Said]
    rest: str


@dataclass(frozen=True, slots=True)
class Bar:
    """How far a warmer is, in some workers. `share` is None where it is unknown."""

    mark: Mark
    whose: str
    share: float | None
    progress: str
    why: str


@dataclass(frozen=True, slots=True)
class WarmerRow:
    """One warmer, and how far it is."""

    name: str
    terms: str
    bars: list[Bar]
    rest: str


VERDICTS: Mapping[str, Mark] = {
    "pass": Mark("good", GOOD.glyph, "pass"),
    "warn": Mark("caution", CAUTION.glyph, "warn"),
    "fail": Mark("bad", BAD.glyph, "fail"),
    "unknown": Mark("faint", "?", "unknown"),
}
WARMTH: Mapping[str, Mark] = {
    "waiting": Mark("faint", "…", "waiting"),
    "running": Mark("caution", "▸", "running"),
    "done": Mark("good", GOOD.glyph, "done"),
    "late": Mark("caution", CAUTION.glyph, "late"),
    "failed": Mark("bad", BAD.glyph, "failed"),
    "elsewhere": Mark("faint", "·", "elsewhere"),
}
ARRIVING = Mark("caution", "…", "not ready yet")
DEPARTING = Mark("caution", "↓", "leaving")
_WORST_FIRST = ("fail", "warn", "unknown", "pass")
_FURTHEST_LAST = ("failed", "late", "running", "waiting", "done", "elsewhere")


def workers_of(facts: Facts) -> Workers:
    """Return the workers: by their pid where there are few, or the eye would hunt for them at each refresh."""
    workers = facts["workers"]
    each = workers["each"]
    few = len(each) <= MOST_WORKERS
    ordered = sorted(each, key=(lambda worker: (worker["pid"],)) if few else _attention)
    shown = ordered if few else ordered[: MOST_WORKERS - 1]
    enough = workers["ready"] >= workers["needed"]
    mark = VERDICTS["fail" if not enough else "pass" if workers["ready"] >= workers["expected"] else "warn"]
    needed = f", {workers['needed']} needed" if workers["needed"] != workers["expected"] or not enough else ""
    lost = f", {workers['lost']} lost" if workers["lost"] else ""
    if mark.tone == "bad" and facts["phase"] != "ready":
        mark = DEPARTING if facts["phase"] in LEAVING else ARRIVING
    return Workers(
        mark=mark,
        sentence=f"{workers['ready']} of {workers['expected']} ready{needed}{lost}",
        rows=[_worker(worker, answering=facts["pid"]) for worker in shown],
        rest=_rest_of_workers(ordered[len(shown) :]),
    )


def _attention(worker: Mapping[str, Any]) -> tuple[bool, bool, float, int]:
    """Return the place of a worker among many: the stuck, then those that are not ready, then by what they hold."""
    return worker["stuck"] is None, worker["ready"], -(worker["oldest"] or 0.0), worker["pid"]


def _worker(worker: Mapping[str, Any], *, answering: int) -> WorkerRow:
    notes = [f"stuck for {duration(worker['stuck'])}"] if worker["stuck"] is not None else []
    notes += ["answers here"] if worker["pid"] == answering else []
    mark = VERDICTS["pass"] if worker["ready"] else Mark("caution", "…", "not ready")
    if worker["stuck"] is not None:
        mark = Mark("bad", BAD.glyph, "stuck")
    return WorkerRow(
        mark=mark,
        pid=worker["pid"],
        phase=clean(worker["phase"]),
        version=clean(worker["version"]),
        requests=f"{worker['requests']:,}",
        in_flight=worker["in_flight"],
        oldest=duration(worker["oldest"]),
        beat=f"{duration(worker['beat_age'])} ago",
        note=", ".join(notes),
    )


def _rest_of_workers(rest: Sequence[Mapping[str, Any]]) -> str:
    if not rest:
        return ""
    ready = sum(worker["ready"] for worker in rest)
    held = sum(worker["in_flight"] for worker in rest)
    served = sum(worker["requests"] for worker in rest)
    standing = "all ready" if ready == len(rest) else f"{ready} ready"
    return f"and {len(rest)} more, {standing}: {served:,} requests, {held} in flight"


def flights_of(facts: Facts) -> Flights:
    """Return what is in flight, as far as it is listed."""
    each = facts["in_flight"]["each"][:MOST_FLIGHTS]
    number = facts["in_flight"]["count"]
    oldest = max((flight["age"] for flight in each), default=0.0)
    patience = min(OLD, facts["budget"]["drain"] or OLD)
    return Flights(
        sentence=f"{number:,}, the oldest for {duration(oldest)}" if each else f"{number:,}" if number else "nothing",
        rows=[
            Flight(
                kind=clean(flight["kind"]),
                what=f"{clean(flight['method'] or '', longest=16)} {clean(flight['route'] or '')}".strip(),
                id=NOTHING if flight["id"] is None else clean(flight["id"], longest=48),
                worker=flight["worker"],
                age=duration(flight["age"]),
                share=share(flight["age"], of=oldest),
                old=flight["age"] >= patience,
            )
            for flight in each
        ],
        rest=f"and {number - len(each):,} more, younger" if number > len(each) else "",
    )


def check_row(check: Mapping[str, Any], *, now: float) -> CheckRow:
    """Return one check; `now` is Unix seconds."""
    workers = sorted(check["workers"], key=lambda worker: _WORST_FIRST.index(worker["status"]))
    groups = _grouped(workers, by=lambda worker: (worker["status"], worker["why"]))
    shown = groups[:MOST_GROUPS]
    left = Counter(worker["status"] for group in groups[MOST_GROUPS:] for worker in group)
    named = ", ".join(f"{number} {status}" for status, number in left.items())
    return CheckRow(
        mark=VERDICTS[check["status"]],
        name=clean(check["name"]),
        kind=clean(check["kind"]),
        pace=f"every {duration(check['interval'])}, within {duration(check['timeout'])}",
        said=[_said(group, check=check, now=now) for group in shown],
        rest=f"and {count(left.total(), one='more worker', many='more workers')}: {named}" if left else "",
    )


def _said(group: Sequence[Mapping[str, Any]], *, check: Mapping[str, Any], now: float) -> Said:
    first = group[0]
    since = min(worker["since"] for worker in group)
    latencies = [worker["latency"] for worker in group if worker["latency"] is not None]
    hanging = sum(worker["abandoned"] for worker in group)
    why = [clean(first["why"])] if first["why"] else []
    why += [f"{count(hanging, one='run hangs', many='runs hang')} beyond its timeout"] if hanging else []
    return Said(
        mark=VERDICTS[first["status"]],
        whose=whose([worker["pid"] for worker in group], of=len(check["workers"])),
        why="; ".join(why),
        since=f"for {duration(now - since)}" if first["status"] != "unknown" else "",
        latency=duration(max(latencies, default=None)),
        runs=[_beat(run, timeout=check["timeout"], now=now) for run in first["history"]],
        tally=_tally([run["status"] for run in first["history"]]),
    )


def _tally(statuses: Sequence[str]) -> str:
    ended = ", ".join(f"{number} {status}" for status, number in Counter(statuses).items())
    return f"the last {count(len(statuses), one='run', many='runs')}: {ended}" if statuses else "no run yet"


def _beat(run: Mapping[str, Any], *, timeout: float, now: float) -> Beat:
    mark = VERDICTS[run["status"]]
    took = duration(run["latency"])
    height = 1.0 if mark.tone == "bad" else 0.35 + 0.65 * math.sqrt(share(run["latency"], of=timeout))
    return Beat(mark=mark, height=round(height, 2), title=f"{clock(run['at'], now=now)} {mark.word}, {took}")


def warmer_row(warmer: Mapping[str, Any]) -> WarmerRow:
    """Return one warmer: those that run have a bar each, the others one together."""
    workers = sorted(warmer["workers"], key=lambda worker: _FURTHEST_LAST.index(worker["status"]))
    groups = _grouped(workers, by=lambda w: (w["status"], w["why"], w["pid"] if w["status"] == "running" else 0))
    shown = groups[:MOST_BARS]
    left = sum(len(group) for group in groups[MOST_BARS:])
    terms = f"once per {clean(warmer['per'])}, within {duration(warmer['deadline'])}"
    return WarmerRow(
        name=warmer_name(warmer["kind"], warmer["name"]),
        terms=terms,
        bars=[_bar(group, of=len(workers)) for group in shown],
        rest=f"and in {count(left, one='more worker', many='more workers')}" if left else "",
    )


def _bar(group: Sequence[Mapping[str, Any]], *, of: int) -> Bar:
    first = group[0]
    mark = WARMTH[first["status"]]
    done, total = first["done"], first["total"]
    known = total is not None and done is not None
    took = max((worker["seconds"] for worker in group if worker["seconds"] is not None), default=None)
    progress = [] if done is None else [f"{done:,} of {total:,}" if total is not None else f"{done:,}"]
    progress += [duration(took)] if took is not None else []
    progress += [f"attempt {first['attempts']}"] if first["attempts"] > 1 else []
    return Bar(
        mark=mark,
        whose=whose([worker["pid"] for worker in group], of=of),
        share=1.0 if mark.word == "done" else share(done, of=total) if known else None,
        progress=", ".join(progress),
        why=clean(first["why"]) if first["why"] else "",
    )


def _grouped(
    workers: Iterable[Mapping[str, Any]], *, by: Callable[[Mapping[str, Any]], object]
) -> list[list[Mapping[str, Any]]]:
    """Return the workers that are alike together, in the order in which each sort is first met."""
    groups: dict[object, list[Mapping[str, Any]]] = {}
    for worker in workers:
        groups.setdefault(by(worker), []).append(worker)
    return list(groups.values())


def share(part: float, *, of: float) -> float:
    """Return a part of a whole, from 0 to 1; of nothing it is 0."""
    return round(min(1.0, max(0.0, part / of)), 4) if of else 0.0
