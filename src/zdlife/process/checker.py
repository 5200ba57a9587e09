"""Runs the checks: concurrently, one run of each at a time, each bounded by its timeout.

Nothing here waits. A run that does not return in time is abandoned and counts as a failure; while three runs of one
check are out, no fourth is begun. A check whose every run leaves a thread behind is given up before it fills the
process.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

from zdlife.errors import WrongUse
from zdlife.machine.checks import (
    Caution,
    CheckRule,
    CheckState,
    Result,
    Status,
    colour,
    give_up,
    observe,
)
from zdlife.machine.readiness import Check
from zdlife.process.calls import Call, Caller, InLoop, InThread, discard, is_async, shortened, why

logger = logging.getLogger("zdlife.checks")
MOST_OUT = 3
MOST_LEAVING_THREADS = 20
"""So many runs in a row that each left a thread behind are no coincidence."""
IMPATIENCE = 1.0
"""Seconds between two runs of a check that has never passed, if its interval is not shorter."""
JITTER = 0.1


class Checker:
    """The checks of one process. `add` may be called from any thread; the rest belongs to the monitor's."""

    def __init__(self, *, loop_of: Callable[[], asyncio.AbstractEventLoop], wake: Callable[[], None]) -> None:
        self._loop_of = loop_of
        self._wake = wake
        self._watches: tuple[Watch, ...] = ()

    def add(self, rule: CheckRule, function: Callable[[], Any]) -> None:
        """Watch one more dependency.

        Raises:
            WrongUse: there is a check of that name already.
        """
        if any(watch.rule.name == rule.name for watch in self._watches):
            raise WrongUse(f"there are two checks named {rule.name!r}. Give each a name of its own.")
        caller: Caller
        if is_async(function):
            caller = InLoop(function, loop_of=self._loop_of, wake=self._wake)
        else:
            caller = InThread(function, name=f"check-{rule.name}", wake=self._wake)
        self._watches = (*self._watches, Watch(rule, caller))
        self._wake()

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks with what they have come to; from any thread."""
        return tuple((watch.rule, watch.state) for watch in self._watches)

    def out(self, name: str) -> int:
        """Return how many runs of a check were abandoned and have not returned; from any thread."""
        return next((watch.out for watch in self._watches if watch.rule.name == name), 0)

    def turn(self, now: float, *, arrived: bool) -> float:
        """Take in what has ended, begin what is due, and return when to be called again at the latest."""
        return min((self._turn(watch, now, arrived=arrived) for watch in self._watches), default=inf)

    def _turn(self, watch: Watch, now: float, *, arrived: bool) -> float:
        try:
            return watch.turn(now, arrived=arrived)
        except Exception:  # One that cannot be taken in is not to keep the others from being.
            logger.exception("the check %s cannot be taken in", watch.rule.name)
            return now + watch.rule.interval


class Watch:
    """One check: what it has come to, and its run under way."""

    def __init__(self, rule: CheckRule, caller: Caller) -> None:
        self.rule = rule
        self.state = CheckState(since=monotonic())
        self.out = 0
        self._caller = caller
        self._call: Call | None = None
        self._due_at = 0.0
        self._leaks = Leaks()

    def turn(self, now: float, *, arrived: bool) -> float:
        """Take in the run that has ended or is over its time, begin one that is due, and return the next moment."""
        if self._call is not None:
            self._look_at(self._call, now, arrived=arrived)
        if self._call is None and self.state.given_up is None and now >= self._due_at:
            self._begin(now, arrived=arrived)
        if self._call is not None:
            return self._call.began_at + self.rule.timeout
        return self._due_at if self.state.given_up is None else inf

    def _begin(self, now: float, *, arrived: bool) -> None:
        self.out = self._caller.out
        if self.out >= MOST_OUT:
            said = f"{self.out} runs have not returned; no other is begun until one does"
            return self._take(Result(now, Status.FAIL, 0.0, said), began=now, arrived=arrived)
        self._leaks.begin()
        self._call = self._caller.begin()
        return None

    def _look_at(self, call: Call, now: float, *, arrived: bool) -> None:
        if call.ended_at is not None:
            self._call = None
            late = call.ended_at - call.began_at > self.rule.timeout  # And was not looked at before it ended.
            result = self._too_late(call, call.ended_at) if late else result_of(call, call.ended_at)
            self._take(result, began=call.began_at, arrived=arrived)
            if self._leaks.end() >= MOST_LEAVING_THREADS:
                self._give_up(now)
        elif now - call.began_at >= self.rule.timeout:
            self._call = None
            self._caller.abandon(call)
            self.out = self._caller.out
            self._take(self._too_late(call, now), began=call.began_at, arrived=arrived)

    def _too_late(self, call: Call, now: float) -> Result:
        return Result(now, Status.FAIL, now - call.began_at, f"no answer within {self.rule.timeout:g} s")

    def _take(self, result: Result, *, began: float, arrived: bool) -> None:
        before, first = colour(self.rule, self.state, result.at), self.state.last is None
        self.state = observe(self.rule, self.state, result, arrived=arrived)
        after = colour(self.rule, self.state, result.at)
        if after.status is not before.status or first:
            self._log(after.status, after.why)
        if self.state.up or arrived:
            self._due_at = began + self.rule.interval * random.uniform(1 - JITTER, 1 + JITTER)
        else:
            self._due_at = result.at + min(self.rule.interval, IMPATIENCE)

    def _give_up(self, now: float) -> None:
        said = (
            f"each of its last {MOST_LEAVING_THREADS} runs left a thread behind, so it is not called any more: "
            "end the threads it starts, then start the service again"
        )
        self.state = give_up(self.state, now, why=said)
        logger.error("check %s is given up: %s", self.rule.name, said, extra={"zdlife": {"check": self.rule.name}})

    def _log(self, status: Status, said: str) -> None:
        bad = status is not Status.PASS
        values = {"check": self.rule.name, "kind": self.rule.kind, "status": status.value, "why": said}
        tail = f": {said}" if said else ""
        logger.log(
            logging.WARNING if bad else logging.INFO,
            "check %s (%s): %s%s",
            self.rule.name,
            self.rule.kind,
            status.value,
            tail,
            extra={"zdlife": values},
        )


class Leaks:
    """How many runs of a check in a row have each left a thread behind that still lives.

    Who started a thread is not to be learned, and the application starts threads, too. So it is the check that is
    blamed only where threads appear with every run of it and none in between.
    """

    def __init__(self) -> None:
        self._before: frozenset[threading.Thread] = frozenset()
        self._after: frozenset[threading.Thread] | None = None
        self._runs: list[tuple[threading.Thread, ...]] = []

    def begin(self) -> None:
        """Take note of the threads there are, just before a run."""
        self._before = _threads()
        if self._after is not None and self._before - self._after:
            self._runs = []

    def end(self) -> int:
        """Return the number of runs, this one included, just after it."""
        self._after = _threads()
        left = tuple(self._after - self._before)
        living = [run for run in self._runs if any(thread.is_alive() for thread in run)]
        self._runs = [*living, left] if left and len(living) == len(self._runs) else [left] if left else []
        return len(self._runs)


def _threads() -> frozenset[threading.Thread]:
    return frozenset(thread for thread in threading.enumerate() if not thread.name.startswith("zdlife-"))


def result_of(call: Call, now: float) -> Result:
    """Return what a run that has ended says of its dependency."""
    latency = now - call.began_at
    if call.error is not None:
        return Result(now, Status.FAIL, latency, why(call.error))
    try:
        return _result_of_value(call.value, now, latency)
    except Exception as error:  # noqa: BLE001  # What was returned is the application's, and so is what it does.
        return Result(now, Status.FAIL, latency, why(error))


def _result_of_value(value: Any, now: float, latency: float) -> Result:
    if isinstance(value, Caution):
        return Result(now, Status.WARN, latency, shortened(str(value.text)))
    if value is None or value is True:
        return Result(now, Status.PASS, latency)
    if value is False:
        return Result(now, Status.FAIL, latency, "it returned False")
    if hasattr(value, "__await__"):
        discard(value)
    return Result(
        now,
        Status.FAIL,
        latency,
        f"it returned {type(value).__name__}; return None or True to pass, or declare it async",
    )
