"""What one warmer has come to, which is to run next, and whether it still keeps its worker from being ready.

Warmers of the lowest order run first and together; those of the next order begin when none of the lower holds the
worker any more. A warmer that failed runs again after a pause that doubles. At its deadline, counted from its first
turn, a warmer either lets the worker be ready without it (`ready`, and it goes on in the background) or goes on holding
it (`unready`) until it has succeeded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from zdlife.errors import WrongUse

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


class Warmth(StrEnum):
    """How a warmer stands. `elsewhere`: another worker of the instance runs it for all."""

    WAITING = "waiting"
    RUNNING = "running"
    ELSEWHERE = "elsewhere"
    FAILED = "failed"
    LATE = "late"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class WarmerRule:
    """One warmer as it was declared; `deadline` in seconds from its first turn.

    With a `minimum` it is no work but a measured hit rate, asked for every so many seconds until it is that high.

    Raises:
        WrongUse: a value cannot be used; the message names the warmer and what to write.
    """

    name: str
    deadline: float = 20.0
    on_deadline: Literal["ready", "unready"] = "ready"
    order: int = 0
    per: Literal["worker", "instance"] = "worker"
    minimum: float | None = None
    every: float = 1.0

    def __post_init__(self) -> None:
        for wrong in self._wrongs():
            raise WrongUse(f"{self.kind} {self.name!r}: {wrong}")

    def _wrongs(self) -> Iterator[str]:
        if not self.name.strip() or not self.name.isprintable() or len(self.name) > 64:
            yield "its name should be 1 to 64 printable characters. Rename it."
        if not 0 < self.deadline < float("inf"):
            yield f"deadline={self.deadline!r} should be a positive number of seconds."
        if self.on_deadline not in ("ready", "unready"):
            yield f'on_deadline={self.on_deadline!r} is none. Write "ready" or "unready".'
        if self.per not in ("worker", "instance"):
            yield f'per={self.per!r} is none. Write "worker" or "instance".'
        if self.minimum is not None and not 0 < self.minimum <= 1:
            yield f"minimum={self.minimum!r} should be a hit rate above 0 and of at most 1, such as 0.8."
        if not 0 < self.every < float("inf"):
            yield f"every={self.every!r} should be a positive number of seconds."

    @property
    def kind(self) -> Literal["warmer", "warmth"]:
        """Whether it does the warming or measures it."""
        return "warmer" if self.minimum is None else "warmth"

    @property
    def reason(self) -> str:
        """The word by which it is named where it keeps a worker from being ready."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class WarmerState:
    """What one warmer has come to; a value, replaced and never changed.

    `began` is when its first turn came, `ended` when it was done, both monotonic seconds. `attempts` counts its runs
    and `retry_at` is when the next may begin. `done` of `total` is how far it says it is.
    """

    status: Warmth = Warmth.WAITING
    began: float | None = None
    ended: float | None = None
    attempts: int = 0
    retry_at: float = 0.0
    done: float | None = None
    total: float | None = None
    why: str = ""


Warmer = tuple[WarmerRule, WarmerState]


def overdue(rule: WarmerRule, state: WarmerState, now: float) -> bool:
    """Whether its deadline has passed and it is not done."""
    return state.status is not Warmth.DONE and state.began is not None and now >= state.began + rule.deadline


def holds(rule: WarmerRule, state: WarmerState, now: float) -> bool:
    """Whether it still keeps its worker from being ready."""
    if state.status is Warmth.DONE:
        return False
    return rule.on_deadline == "unready" or not overdue(rule, state, now)


def shown(rule: WarmerRule, state: WarmerState, now: float) -> Warmth:
    """Return how it stands at `now`: `late` from its deadline on, and a hit rate `running` between two samples."""
    if overdue(rule, state, now):
        return Warmth.LATE
    sampled = rule.minimum is not None and state.status is Warmth.WAITING and state.began is not None
    return Warmth.RUNNING if sampled else state.status


def due(warmers: Iterable[Warmer], now: float) -> Iterator[WarmerRule]:
    """Yield those that should be begun now."""
    warmers = tuple(warmers)
    turn = _turn(warmers, now)
    for rule, state in warmers:
        idle = state.status in (Warmth.WAITING, Warmth.FAILED, Warmth.ELSEWHERE)
        if idle and now >= state.retry_at and (turn is None or rule.order <= turn):
            yield rule


def began(state: WarmerState, now: float) -> WarmerState:
    """Return the state of one that begins to run."""
    begun = _first(state, now)
    return replace(
        state, status=Warmth.RUNNING, began=begun, attempts=state.attempts + 1, done=None, total=None, why=""
    )


def left_to_another(state: WarmerState, now: float, *, retry_at: float) -> WarmerState:
    """Return the state of one that another worker runs for the whole instance; it is asked about at `retry_at`."""
    return replace(state, status=Warmth.ELSEWHERE, began=_first(state, now), retry_at=retry_at)


def ended(state: WarmerState, now: float) -> WarmerState:
    """Return the state of one that has succeeded."""
    return replace(state, status=Warmth.DONE, began=_first(state, now), ended=now, why="")


def failed(state: WarmerState, now: float, *, why: str) -> WarmerState:
    """Return the state of one that died half way: it runs again, from the beginning."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(state.attempts - 1, 10))
    return replace(state, status=Warmth.FAILED, retry_at=now + pause, why=why)


def not_yet(rule: WarmerRule, state: WarmerState, now: float) -> WarmerState:
    """Return the state of a hit rate that is still too low."""
    return replace(state, status=Warmth.WAITING, retry_at=now + rule.every, why="")


def advanced(state: WarmerState, *, done: float, total: float) -> WarmerState:
    """Return the state of one that says how far it is."""
    return replace(state, done=done, total=total)


def wakes_at(warmers: Iterable[Warmer], now: float) -> float:
    """Return the next moment at which a deadline passes or a pause ends, or infinity."""
    warmers = tuple(warmers)
    soonest, turn = float("inf"), _turn(warmers, now)
    for rule, state in warmers:
        idle = state.began is not None and state.status in (Warmth.WAITING, Warmth.FAILED, Warmth.ELSEWHERE)
        if idle and (turn is None or rule.order <= turn):
            soonest = min(soonest, max(now, state.retry_at))
        if state.began is not None and holds(rule, state, now) and not overdue(rule, state, now):
            soonest = min(soonest, state.began + rule.deadline)
    return soonest


def _turn(warmers: Iterable[Warmer], now: float) -> int | None:
    """Return the order whose turn it is: the lowest that still holds the worker, or None where none does."""
    return min((rule.order for rule, state in warmers if holds(rule, state, now)), default=None)


def _first(state: WarmerState, now: float) -> float:
    return now if state.began is None else state.began
