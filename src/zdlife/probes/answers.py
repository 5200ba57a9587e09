"""The four probes: one set of answers for ASGI, WSGI and whoever else asks.

An answer is made from memory: it calls no dependency, takes no lock and never raises. Liveness stays green while
settling and draining, since a process that leaves in order is not to be killed for it (Kubernetes, Liveness Probes).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zdlife.lifecycle import Lifecycle
from zdlife.machine.phases import Phase

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
        return {200: "200 OK", 405: "405 Method Not Allowed", 503: "503 Service Unavailable"}[self.status]


def livez(life: Lifecycle) -> Answer:
    """Green as long as the process can answer."""
    return _health(life)


def readyz(life: Lifecycle) -> Answer:
    """Green while requests are welcome; otherwise 503, with the reason. Any worker speaks for its instance."""
    ready = life.ready
    return _health(life, () if ready else (_reason(life),), phase=Phase.READY if ready else life.phase)


def startupz(life: Lifecycle) -> Answer:
    """Green once the application has started, and ever after."""
    started = life.phase not in (Phase.STARTING, Phase.WARMING)
    return _health(life, () if started else (life.phase.value,))


def version(life: Lifecycle) -> Answer:
    """Say which release answers."""
    return _answer(200, {**life.release.as_dict(), "environment": life.release.environment}, "application/json")


PROBES: Mapping[str, Callable[[Lifecycle], Answer]] = {
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


def answer(life: Lifecycle, path: str, method: str) -> Answer:
    """Return the answer for a path in `PROBES`; HEAD is answered as GET without a body, anything else with 405."""
    if method not in ("GET", "HEAD"):
        found = _answer(405, {"status": "fail", "reasons": ["method"]}, MEDIA_TYPE, ("allow", "GET, HEAD"))
    else:
        found = PROBES[path](life)
    return found if method != "HEAD" else Answer(found.status, found.headers, b"")


def _reason(life: Lifecycle) -> str:
    """Return why readiness is red, as one of the words that callers may rely on."""
    if life.board.leaving and not life.phase.leaving:
        return Phase.SETTLING.value
    return life.phase.value


def _health(life: Lifecycle, reasons: tuple[str, ...] = (), *, phase: Phase | None = None) -> Answer:
    good = not reasons
    body = {
        "status": "pass" if good else "fail",
        "phase": (phase or life.phase).value,
        "reasons": list(reasons),
        "release": life.release.as_dict(),
    }
    more = () if good else (("retry-after", "1"),)
    return _answer(200 if good else 503, body, MEDIA_TYPE, *more)


def _answer(status: int, body: Mapping[str, Any], media_type: str, *more: tuple[str, str]) -> Answer:
    encoded = json.dumps(body, separators=(",", ":")).encode()
    headers = (
        ("content-type", media_type),
        ("content-length", str(len(encoded))),
        ("cache-control", "no-store"),
        *more,
    )
    return Answer(status, headers, encoded)
