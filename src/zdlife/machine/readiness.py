"""Many checks, warmers and workers into one answer, with reasons.

A worker says whether it is *able*: it has arrived, its required checks are up, and no warmer holds it. The instance is
ready by the workers that are able. The rules:

1.  Before an instance has ever been ready it waits for `at_least` able workers of one release, by default for all that
    its server starts, and so for each one's required checks to have passed once.
2.  Once it has been ready, a worker that is still arriving, has fallen silent or is missing makes the instance say so
    and does not take it out: its siblings serve. A worker that has arrived and is not able does take it out where too
    few are left, and so does having none that is able.
3.  A check that `degrades` is reported. One that is `shared` is too: every instance has the same one, and if all went
    red together nobody would serve. It takes an instance out only when the instance can see others and most of those
    that it sees pass: then it is this one that is cut off. It must have been run once before the first ready.
4.  Red always has a reason. Leaving comes before all others, since it is what the balancer has to act upon.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zdlife.machine import warming
from zdlife.machine.checks import CheckRule, CheckState, Status, colour
from zdlife.machine.phases import Phase
from zdlife.machine.warming import Warmer

CHECK = "check:"
HOLDS = ("warmer:", "warmth:")
WORKERS = "workers"
STALE = "stale"
SILENT = "silent"
MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Reason:
    """One of the words that callers may rely on, and since when (monotonic seconds)."""

    word: str
    since: float


@dataclass(frozen=True, slots=True)
class Peers:
    """What the other instances say of a shared check: how many of them pass it and how many fail it."""

    passing: int = 0
    failing: int = 0

    @property
    def mostly_pass(self) -> bool:
        return self.passing > self.failing


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one worker says of itself: why it is not able (nothing if it is), and what somebody should look at."""

    reasons: tuple[Reason, ...] = ()
    cautions: tuple[Reason, ...] = ()

    @property
    def able(self) -> bool:
        return not self.reasons


Check = tuple[CheckRule, CheckState]
NO_PEERS: Mapping[str, Peers] = {}


def worker(
    phase: Phase,
    since: float,
    *,
    checks: Iterable[Check],
    warmers: Iterable[Warmer],
    now: float,
    peers: Mapping[str, Peers] = NO_PEERS,
) -> Verdict:
    """Return what a worker that is in `phase` since `since` says of itself at `now`.

    `peers` has, by the name of a shared check, what other instances say of it, where they can be seen.
    """
    reasons = [Reason(phase.value, since)] if phase is not Phase.READY else []
    cautions: list[Reason] = []
    for rule, state in warmers:
        if warming.holds(rule, state, now):
            reasons.append(Reason(rule.reason, since if state.began is None else state.began))
        elif warming.overdue(rule, state, now):
            cautions.append(Reason(rule.reason, (state.began or since) + rule.deadline))
    for check in checks:
        blocks, found = _judge(check, now, peers)
        (reasons if blocks else cautions).extend(found)
    return Verdict(tuple(reasons), tuple(cautions))


def may_arrive(*, checks: Iterable[Check], warmers: Iterable[Warmer], now: float) -> bool:
    """Whether a worker that is warming may be ready: nothing holds it."""
    return worker(Phase.READY, now, checks=checks, warmers=warmers, now=now).able


def _judge(check: Check, now: float, peers: Mapping[str, Peers]) -> tuple[bool, tuple[Reason, ...]]:
    """Return whether a check keeps its worker from being able, and what there is to say of it (rule 3)."""
    rule, state = check
    found = colour(rule, state, now)
    if found.status is Status.PASS:
        return False, ()
    reasons = (Reason(rule.reason, found.since), *((Reason(STALE, found.since),) if found.stale else ()))
    unknown, failing = found.status is Status.UNKNOWN, found.status is Status.FAIL
    if rule.kind == "required":
        return unknown or failing, reasons
    if rule.kind == "shared":
        return unknown or (failing and peers.get(rule.name, Peers()).mostly_pass), reasons
    return False, () if unknown else reasons


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker as its siblings see it. `silent_since` is set once it has said nothing for too long."""

    pid: int
    phase: Phase
    release: str
    verdict: Verdict
    silent_since: float | None = None

    @property
    def able(self) -> bool:
        return self.verdict.able and self.silent_since is None

    @property
    def speaks(self) -> bool:
        """Whether it has arrived and what it says is of the present."""
        return not self.phase.arriving and self.silent_since is None

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return self.verdict.reasons if self.silent_since is None else (Reason(SILENT, self.silent_since),)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What holds for the whole instance.

    `expected` is how many workers its server starts, 0 where nobody knows; `at_least` how many must be able, by default
    all. `leaving` names the phase from the stop signal on, `since` its beginning. `short_since` is since when workers
    are wanting, if somebody knows.
    """

    expected: int = 0
    at_least: int | None = None
    was_ready: bool = False
    leaving: Phase | None = None
    since: float = 0.0
    held_since: float | None = None
    short_since: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The instance's answer: how it stands, why (nothing if it is a plain pass), and by how many workers."""

    status: Status
    reasons: tuple[Reason, ...] = ()
    able: int = 0
    needed: int = 1

    @property
    def ready(self) -> bool:
        return self.status is not Status.FAIL


def instance(workers: Sequence[WorkerView], *, around: Surroundings, now: float) -> Standing:
    """Return the answer of the instance that these workers make up."""
    present = [view for view in workers if not view.phase.leaving]
    release, able = _leading(present)
    needed = _needed(present, release, around)
    if around.leaving is not None:
        return Standing(Status.FAIL, (Reason(around.leaving.value, around.since),), able, needed)
    if around.held_since is not None:
        return Standing(Status.FAIL, (Reason(MANUAL, around.held_since),), able, needed)
    short = able < max(around.expected, len(present))
    if able >= needed:
        cautions = [caution for view in present if view.able for caution in view.verdict.cautions]
        if short:
            cautions += [reason for view in present if not view.able for reason in view.reasons]
            cautions.append(Reason(WORKERS, around.short_since or now))
        return Standing(Status.WARN if cautions else Status.PASS, merged(cautions), able, needed)
    reasons = [reason for view in present if not view.able for reason in view.reasons]
    if able or not reasons:
        reasons.append(Reason(WORKERS, around.short_since or now))
    return Standing(Status.FAIL, merged(reasons), able, needed)


def what_starts(workers: Sequence[WorkerView], *, expected: int, now: float) -> tuple[Reason, ...]:
    """Return what keeps an instance from having started: workers not loaded yet, held by a warmer, or not there."""
    found = [
        reason
        for view in workers
        if view.phase is Phase.STARTING or any(reason.word.startswith(HOLDS) for reason in view.verdict.reasons)
        for reason in view.verdict.reasons
        if not reason.word.startswith(CHECK)
    ]
    if len(workers) < expected:
        found.append(Reason(WORKERS, now))
    return merged(found)


def merged(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return each word once, in the order of its first appearance, since the earliest moment any worker names."""
    first: dict[str, float] = {}
    for reason in reasons:
        first[reason.word] = min(reason.since, first.get(reason.word, reason.since))
    return tuple(Reason(word, since) for word, since in first.items())


def _leading(present: Iterable[WorkerView]) -> tuple[str, int]:
    """Return the release that most of the able workers are of, and how many they are."""
    counts = Counter(view.release for view in present if view.able)
    return max(counts.items(), key=lambda entry: entry[1], default=("", 0))


def _needed(present: Sequence[WorkerView], release: str, around: Surroundings) -> int:
    """Return how many workers of `release` must be able: rules 1 and 2."""
    everyone = around.expected or len(present)
    wanted = everyone if around.at_least is None else around.at_least
    if around.expected:
        wanted = min(wanted, around.expected)
    if around.was_ready:
        settled = sum(1 for view in present if view.speaks and (view.release == release or not view.able))
        wanted = min(wanted, settled)
    return max(1, wanted)
