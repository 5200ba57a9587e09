"""What one check has come to: up and down with hysteresis, and red once its last result is too old.

The rules:

1.  A check that is up goes down after `fall` failures in a row, and comes up again after `rise` passes in a row. One
    lost packet flips nothing (HAProxy's fall 3 and rise 2 are the same rule).
2.  Until its worker has been ready for the first time there is nothing to flap: the last result counts.
3.  A result older than three intervals says nothing of the present. The check is then down, and it takes `rise` passes
    to come up again.
4.  A check that was given up, because it does harm by being called, is a caution if it was up, and down if it was down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from zdlife.errors import WrongUse

REMEMBERED = 20
"""How many results a check's history keeps."""
STALE_AFTER_INTERVALS = 3

Kind = Literal["required", "degrades", "shared"]


class Status(StrEnum):
    """How something stands, in the words of application/health+json, and `unknown` before anything is known."""

    UNKNOWN = "unknown"
    PASS = "pass"  # noqa: S105  # no password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Caution:
    """What a check returns that passes while somebody should look: it is reported, and takes nothing out."""

    text: str


@dataclass(frozen=True, slots=True)
class CheckRule:
    """One check as it was declared. Times are seconds; `fall` and `rise` are results in a row.

    Raises:
        WrongUse: a value cannot be used; the message names the check and what to write.
    """

    name: str
    kind: Kind = "required"
    timeout: float = 2.0
    interval: float = 5.0
    fall: int = 3
    rise: int = 2

    def __post_init__(self) -> None:
        for wrong in self._wrongs():
            raise WrongUse(f"check {self.name!r}: {wrong}")

    def _wrongs(self) -> Iterator[str]:
        if not self.name.strip() or not self.name.isprintable() or len(self.name) > 64:
            yield "its name should be 1 to 64 printable characters. Rename it."
        if self.kind not in ("required", "degrades", "shared"):
            yield f'kind={self.kind!r} is none. Write "required", "degrades" or "shared".'
        if not 0 < self.interval < float("inf"):
            yield f"interval={self.interval!r} should be a positive number of seconds."
        if not 0 < self.timeout <= self.interval:
            yield (
                f"it may take {self.timeout:g} s and is due every {self.interval:g} s. "
                f"Write a timeout above 0 and of at most {self.interval:g}, or a longer interval."
            )
        if self.fall < 1 or self.rise < 1:
            yield f"fall={self.fall} and rise={self.rise} should be 1 or more."

    @property
    def reason(self) -> str:
        """The word by which this check is named where it makes an instance unready or degraded."""
        return f"check:{self.name}"

    @property
    def stale_after(self) -> float:
        """How old a result may become (rule 3)."""
        return STALE_AFTER_INTERVALS * self.interval


@dataclass(frozen=True, slots=True)
class Result:
    """One run of a check: when it ended (monotonic seconds), how long it took, and what it said."""

    at: float
    status: Status
    latency: float
    why: str = ""

    @property
    def passed(self) -> bool:
        return self.status is not Status.FAIL


@dataclass(frozen=True, slots=True)
class CheckState:
    """What one check has come to; a value, replaced and never changed.

    `up` is the colour and `since` when it took it. `against` counts the results in a row that contradict the colour.
    `results` are the last ones, oldest first. `given_up` says why it is not called any more, if so.
    """

    up: bool = False
    since: float = 0.0
    against: int = 0
    results: tuple[Result, ...] = ()
    given_up: str | None = None

    @property
    def last(self) -> Result | None:
        return self.results[-1] if self.results else None


@dataclass(frozen=True, slots=True)
class Colour:
    """What a check says at a moment: its status, since when, and why where it is not a plain pass."""

    status: Status
    since: float
    why: str = ""
    stale: bool = False


def observe(rule: CheckRule, state: CheckState, result: Result, *, arrived: bool) -> CheckState:
    """Return the state after one more result; `arrived` once the worker has been ready for the first time."""
    before = _fallen_by_age(rule, state, result.at)
    results = (*before.results[1 - REMEMBERED :], result)
    contradicts = result.passed is not before.up
    against = before.against + 1 if contradicts else 0
    needed = (rule.fall if before.up else rule.rise) if arrived else 1
    if not before.results or (contradicts and against >= needed):
        return replace(before, up=result.passed, since=result.at, against=0, results=results)
    return replace(before, against=against, results=results)


def give_up(state: CheckState, now: float, *, why: str) -> CheckState:
    """Return the state of a check that is not to be called any more (rule 4)."""
    return replace(state, given_up=why, since=now, against=0)


def colour(rule: CheckRule, state: CheckState, now: float) -> Colour:
    """Return what the check says at `now`."""
    if state.given_up is not None:
        return Colour(Status.WARN if state.up else Status.FAIL, state.since, state.given_up)
    last = state.last
    if last is None:
        return Colour(Status.UNKNOWN, state.since, "it has not been run yet")
    if now - last.at > rule.stale_after:
        since = last.at + rule.stale_after if state.up else state.since
        return Colour(Status.FAIL, since, f"its last result is older than {rule.stale_after:g} s", stale=True)
    if not state.up:
        return Colour(Status.FAIL, state.since, _last_failure(state))
    if last.status is Status.WARN:
        return Colour(Status.WARN, state.since, last.why)
    return Colour(Status.PASS, state.since, last.why)


def _fallen_by_age(rule: CheckRule, state: CheckState, now: float) -> CheckState:
    last = state.last
    if last is None or now - last.at <= rule.stale_after:
        return state
    since = last.at + rule.stale_after if state.up else state.since
    return replace(state, up=False, since=since, against=0)


def _last_failure(state: CheckState) -> str:
    """Return why it last failed: one pass does not bring it up, and says nothing of what is wrong."""
    lately = (result for result in reversed(state.results) if result.at >= state.since)
    return next((result.why for result in lately if not result.passed), "it was stale")
