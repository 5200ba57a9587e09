"""The four probes: one set of answers for ASGI, WSGI and the management port.

An answer is made from memory: it calls no dependency, waits for nothing and never raises. Any worker speaks for its
instance. Liveness stays green while settling and draining, since a process that leaves in order is not to be killed for
it, and it knows of no dependency, since a restart mends none (Kubernetes, Liveness Probes).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from zdlife.lifecycle import Lifecycle
from zdlife.machine.checks import Status
from zdlife.machine.readiness import Reason, merged, what_starts
from zdlife.probes import facts
from zdlife.probes.access import Access

logger = logging.getLogger("zdlife.probes")
MEDIA_TYPE = "application/health+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One probe's answer: the status code, the headers and the body, ready to send."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status_line(self) -> str:
        """Return the status as WSGI has it."""
        return {
            200: "200 OK",
            404: "404 Not Found",
            405: "405 Method Not Allowed",
            500: "500 Internal Server Error",
            503: "503 Service Unavailable",
        }[self.status]


def livez(life: Lifecycle, access: Access) -> Answer:
    """Green as long as every worker's monitor and event loop turn; always green while leaving."""
    now = monotonic()
    stuck = () if life.phase.leaving else tuple(life.presence.stuck(now, after=life.settings.stuck_after))
    status = Status.FAIL if stuck else Status.PASS
    return _health(life, status, merged(reason for _, reason in stuck), Access.ANSWER)


def readyz(life: Lifecycle, access: Access) -> Answer:
    """Green while requests are welcome; otherwise 503, with the reasons."""
    standing = life.presence.standing(monotonic())
    return _health(life, standing.status, standing.reasons, access)


def startupz(life: Lifecycle, access: Access) -> Answer:
    """Green once the instance has started and is warm, and ever after it was ready; a dependency has no say in it."""
    now = monotonic()
    begun = life.board.ready_at is not None or life.phase.leaving
    waits = () if begun else what_starts(life.presence.views(now), expected=life.board.expected, now=now)
    return _health(life, Status.FAIL if waits else Status.PASS, waits, access)


def version(life: Lifecycle, access: Access) -> Answer:
    """Say which release answers."""
    return _answer(200, {**life.release.as_dict(), "environment": life.release.environment}, "application/json")


PROBES: Mapping[str, Callable[[Lifecycle, Access], Answer]] = {
    "/livez": livez,
    "/readyz": readyz,
    "/startupz": startupz,
    "/version": version,
}


def probe_path(path: str, root: str = "") -> str | None:
    """Return which of `PROBES` a request's path names, with or without the application's root before it, or None."""
    if path in PROBES:
        return path
    if root and path.startswith(root) and path[len(root) :] in PROBES:
        return path[len(root) :]
    return None


def answer(life: Lifecycle, path: str, method: str, *, access: Access = Access.ANSWER) -> Answer:
    """Return the answer for a path in `PROBES`; HEAD is answered as GET without a body, anything else with 405."""
    if method not in ("GET", "HEAD"):
        found = not_allowed()
    else:
        try:
            found = PROBES[path](life, access)
        except Exception:  # A probe that raises would take out an instance that serves.
            logger.exception("the probe %s cannot be answered", path)
            found = _answer(500, {"status": "fail", "reasons": ["zdlife"]}, MEDIA_TYPE)
    return found if method != "HEAD" else Answer(found.status, found.headers, b"")


def not_allowed() -> Answer:
    """Return the answer to a method that is neither GET nor HEAD."""
    return _answer(405, {"status": "fail", "reasons": ["method"]}, MEDIA_TYPE, ("allow", "GET, HEAD"))


def _health(life: Lifecycle, status: Status, reasons: tuple[Reason, ...], access: Access) -> Answer:
    """Return a document as draft-inadarei-api-health-check has it, with `phase`, `reasons` and `since` besides."""
    good = status is not Status.FAIL
    wall = time.time() - monotonic()
    body = {
        "status": status.value,
        "phase": life.presence.instance_phase.value,
        "reasons": [reason.word for reason in reasons],
        "since": {reason.word: _iso(wall + reason.since) for reason in reasons},
        "release": life.release.as_dict(),
    }
    if access is not Access.ANSWER:
        body |= _details(life, access)
    more = () if good else (("retry-after", "1"),)
    return _answer(200 if good else 503, body, MEDIA_TYPE, *more)


def _details(life: Lifecycle, access: Access) -> dict[str, Any]:
    """Return how each check and each warmer of each worker stands, and why if the caller may be told."""
    found = facts.of(life)
    why = access is Access.EVERYTHING
    return {
        "checks": {
            check["name"]: [_component(check, each, why=why) for each in check["workers"]] for check in found["checks"]
        },
        "warmers": {
            f"{warmer['kind']}:{warmer['name']}": [_warmer(each, why=why) for each in warmer["workers"]]
            for warmer in found["warmers"]
        },
        "workers": {key: found["workers"][key] for key in ("expected", "needed", "ready")},
    }


def _component(check: Mapping[str, Any], each: Mapping[str, Any], *, why: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "componentId": str(each["pid"]),
        "kind": check["kind"],
        "status": each["status"],
        "stale": each["stale"],
        "since": _iso(each["since"]),
    }
    if each["at"] is not None:
        said |= {"time": _iso(each["at"]), "observedValue": round(1000 * each["latency"], 3), "observedUnit": "ms"}
    return {**said, "output": each["why"]} if why and each["why"] else said


def _warmer(each: Mapping[str, Any], *, why: bool) -> dict[str, Any]:
    said = {"componentId": str(each["pid"]), **{key: each[key] for key in ("status", "done", "total", "seconds")}}
    return {**said, "output": each["why"]} if why and each["why"] else said


def _iso(at: float) -> str:
    """Return Unix seconds as RFC 3339 has a time, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _answer(status: int, body: Mapping[str, Any], media_type: str, *more: tuple[str, str]) -> Answer:
    encoded = json.dumps(body, separators=(",", ":")).encode()
    headers = (
        ("content-type", media_type),
        ("content-length", str(len(encoded))),
        ("cache-control", "no-store"),
        *more,
    )
    return Answer(status, headers, encoded)
