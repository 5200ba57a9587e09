"""Count what a run holds; every report says the same figures because it takes them from here.

Nothing is dropped: `sent` is always `ok` plus `failed`, and the parts of a grouping add up to the whole.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zdlife.rehearsal.result import Kind, Outcome, Request, Run, Trial, Verdict

UNKNOWN_RELEASE = "unknown"
"""The release of a request that no instance is known to have answered."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many were sent, and how each of the lost ones was lost."""

    sent: int
    by_failure: Mapping[str, int]

    @property
    def failed(self) -> int:
        return sum(self.by_failure.values())

    @property
    def ok(self) -> int:
        return self.sent - self.failed


@dataclass(frozen=True, slots=True)
class LateArrivals:
    """Requests that arrived after the settle had ended, and how many seconds late the latest of them was."""

    count: int
    worst: float | None


@dataclass(frozen=True, slots=True)
class Cold:
    """Requests that reached a worker before it was ready, and how many seconds before that the earliest of them came.

    `worst` leaves out workers that never were. Unless `known`, no instance told when its workers were ready.
    """

    known: bool
    count: int
    worst: float | None


def tally(requests: Iterable[Request]) -> Tally:
    """Return the counts of these requests, the failures in the order of `Outcome`."""
    outcomes = Counter(request.outcome for request in requests)
    failures = {o.value: outcomes[o] for o in Outcome if o is not Outcome.OK and outcomes[o]}
    return Tally(sent=outcomes.total(), by_failure=failures)


def by_kind(run: Run) -> dict[Kind, Tally]:
    """Return the counts of each class of load that was sent."""
    groups: dict[Kind, list[Request]] = {}
    for request in run.requests:
        groups.setdefault(request.kind, []).append(request)
    return {kind: tally(groups[kind]) for kind in Kind if kind in groups}


def by_release(run: Run) -> dict[str, Tally]:
    """Return the counts of each release that answered; what nobody is known to have answered is `unknown`."""
    groups: dict[str, list[Request]] = {}
    for request in run.requests:
        groups.setdefault(request.release or UNKNOWN_RELEASE, []).append(request)
    return {release: tally(groups[release]) for release in sorted(groups)}


def of_kind(run: Run, kind: Kind) -> Tally:
    """Return the counts of one class of load, which may be zero."""
    return tally(request for request in run.requests if request.kind is kind)


def exit_codes(run: Run) -> dict[str, int]:
    """Return how many instances ended with each code; `none` stands for an instance without one."""
    codes = Counter("none" if i.exit_code is None else str(i.exit_code) for i in run.instances)
    return dict(codes.most_common())


def late_arrivals(run: Run) -> LateArrivals:
    """Return the late arrivals of all instances together."""
    delays = [i.latest_arrival for i in run.instances if i.late_arrivals and i.latest_arrival is not None]
    return LateArrivals(count=sum(i.late_arrivals for i in run.instances), worst=max(delays, default=None))


def cold(run: Run) -> Cold:
    """Return the requests of all instances together that were served cold."""
    early = [request.cold for request in run.cold if request.cold is not None and math.isfinite(request.cold)]
    known = any(instance.arrivals for instance in run.instances)
    return Cold(known=known, count=len(run.cold), worst=max(early, default=None))


def verdict(run: Run) -> Verdict:
    """Return the verdict of one run. A run that sent nothing proves nothing, and counts as aborted."""
    if run.aborted is None and not run.requests:
        return "aborted"
    return run.verdict


def overall(trials: Sequence[Trial]) -> Verdict:
    """Return the worst verdict among the runs themselves; the controls beside them are meant to lose."""
    verdicts = {verdict(trial.run) for trial in trials}
    for worst in ("requests lost", "aborted", "served cold"):
        if worst in verdicts:
            return worst
    return "nothing lost" if trials else "aborted"


def together(runs: Iterable[Run]) -> Tally:
    """Return the counts of several runs as one."""
    return tally(request for run in runs for request in run.requests)
