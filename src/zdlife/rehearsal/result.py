"""What a rehearsal found, as values: the engine writes them, every report reads them.

All times named `at` are seconds since the run began, on the rehearsal's own monotonic clock.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Verdict = Literal["nothing lost", "served cold", "requests lost", "aborted"]


class Outcome(StrEnum):
    """How one request ended, as client and application together saw it. Every id has exactly one."""

    OK = "ok"
    REFUSED = "refused"
    RESET = "reset"
    TIMED_OUT = "timed out"
    WRONG_STATUS = "wrong status"
    TRUNCATED = "truncated"
    REPLY_LOST = "done but reply lost"
    DONE_TWICE = "done twice"


class Kind(StrEnum):
    """The class of load a request belongs to."""

    NEW_CONNECTION = "new connection"
    KEEP_ALIVE = "keep-alive"
    POST = "post"
    SLOW = "slow"
    STREAM = "stream"
    UPLOAD = "upload"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class Request:
    """One request from its id to its outcome.

    `cold` is by how many seconds it came before its worker was ready: infinity where that worker never was, None where
    it was ready, or where nobody knows.
    """

    id: str
    kind: Kind
    at: float
    seconds: float
    outcome: Outcome
    method: str = "GET"
    path: str = "/"
    status: int | None = None
    instance: str | None = None
    release: str | None = None
    detail: str = ""
    cold: float | None = None


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """One phase of one instance, half open: `[at, until)`."""

    phase: str
    at: float
    until: float
    requests: int = 0


@dataclass(frozen=True, slots=True)
class InstanceRun:
    """One instance of one release, from its start to its exit.

    `arrivals` says by process id when each worker was ready, of an instance that tells.
    """

    name: str
    release: str
    phases: tuple[PhaseSpan, ...]
    exit_code: int | None
    told_to_stop_at: float | None = None
    late_arrivals: int = 0
    latest_arrival: float | None = None
    clean: bool | None = None
    cut: tuple[Mapping[str, Any], ...] = ()
    killed: bool = False
    workers_lost: int = 0
    forced: str | None = None
    arrivals: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One server behind one balancer, rolled there and back under load."""

    server: str
    balancer: str
    with_zdlife: bool
    began_at: str
    seconds: float
    rolls: int
    rate: float
    requests: tuple[Request, ...]
    instances: tuple[InstanceRun, ...]
    websockets: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    aborted: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[Request, ...]:
        return tuple(r for r in self.requests if r.outcome is not Outcome.OK)

    @property
    def by_failure(self) -> dict[str, int]:
        return dict(Counter(r.outcome.value for r in self.failed))

    @property
    def cold(self) -> tuple[Request, ...]:
        return tuple(r for r in self.requests if r.cold is not None)

    @property
    def verdict(self) -> Verdict:
        if self.aborted is not None:
            return "aborted"
        if self.failed:
            return "requests lost"
        return "served cold" if self.cold else "nothing lost"


def loss_bound(sent: int, *, lost: int) -> float | None:
    """Return the upper 95 % bound on the loss rate, or None with no request sent.

    Three over n when nothing was lost (the rule of three), the Wilson score bound otherwise.
    """
    if sent == 0:
        return None
    if lost == 0:
        return min(1.0, 3.0 / sent)
    z = 1.6448536269514722
    p = lost / sent
    centre = p + z * z / (2 * sent)
    spread = z * math.sqrt(p * (1 - p) / sent + z * z / (4 * sent * sent))
    return min(1.0, (centre + spread) / (1 + z * z / sent))


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of the matrix: a run, and the same plan without zdlife beside it."""

    run: Run
    control: Run | None = None


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance as the live view shows it now."""

    name: str
    release: str
    phase: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rehearsal as it stands now, for whoever watches it."""

    at: float
    step: str
    server: str
    balancer: str
    with_zdlife: bool
    instances: tuple[InstanceView, ...]
    rate: float
    sent: int
    in_progress: int
    failed: Mapping[str, int]
