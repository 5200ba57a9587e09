"""What this worker's checks and warmers come to: run by the monitor, asked by the probes, told to the siblings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from zdlife.machine import readiness, warming
from zdlife.machine.checks import CheckRule, CheckState, colour
from zdlife.machine.phases import Phase
from zdlife.machine.readiness import Peers, Verdict
from zdlife.machine.warming import WarmerRule, WarmerState
from zdlife.process.calls import PrivateLoop
from zdlife.process.checker import Checker
from zdlife.process.errands import Errands
from zdlife.process.latch import Latch
from zdlife.process.warmers import Warmers

CHECKED_WITHIN = 5.0
"""Seconds that a worker which is warm waits for its first checks before it accepts what comes to its instance."""


class Readiness:
    """The checks and warmers of one process, and when it has arrived.

    `turn` belongs to the monitor's thread; everything else is safe from any.
    """

    def __init__(self, *, wake: Callable[[], None], release: Callable[[], str]) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.arrived_at: float | None = None
        self.warm = Latch()
        self.peers: Callable[[], Mapping[str, Peers]] = dict
        self._private = PrivateLoop()
        self._checker = Checker(loop_of=self._loop_of, wake=wake)
        self._warmers = Warmers(loop_of=self._loop_of, wake=wake, release=release)
        self._over = False
        self._warm_at: float | None = None

    def _loop_of(self) -> asyncio.AbstractEventLoop:
        return self.loop if self.loop is not None else self._private.get()

    def check(self, rule: CheckRule, function: Callable[[], Any]) -> None:
        """Watch one more dependency.

        Raises:
            WrongUse: there is a check of that name already.
        """
        self._checker.add(rule, function)

    def warmer(self, rule: WarmerRule, function: Callable[..., Any]) -> None:
        """Warm one thing more.

        Raises:
            WrongUse: there is one of that name already, or `function` cannot be called so.
        """
        self._warmers.add(rule, function)

    @property
    def waits(self) -> bool:
        """Whether there is anything to wait for before this worker can be ready."""
        return bool(self._checker.checks or self._warmers.warmers)

    def turn(self, phase: Phase, now: float, errands: Errands) -> float:
        """Let the checks and the warmers go on, and return when to be called again at the latest.

        Nothing begins before the application is loaded, and nothing any more once it is leaving.
        """
        if phase is Phase.STARTING:
            return inf
        if phase.leaving:
            self._end(errands)
            return inf
        if phase is Phase.READY and self.arrived_at is None and self.verdict(phase, now, now).able:
            self.arrived_at = now
        wakes = min(
            self._checker.turn(now, arrived=self.arrived_at is not None),
            self._warmers.turn(now, errands),
        )
        return min(wakes, self._admit(phase, now))

    def _admit(self, phase: Phase, now: float) -> float:
        """Let this worker accept once it has arrived, or is warm and its checks have had their time; return when."""
        if phase is Phase.READY:
            self.warm.open()
        if self.warm.is_open:
            return inf
        if self.may_arrive(now):
            return now  # The machine's turn comes first: whoever is served here is served by a worker that is ready.
        if any(warming.holds(rule, state, now) for rule, state in self._warmers.warmers):
            self._warm_at = None
        elif self._warm_at is None:
            self._warm_at = now
        elif now - self._warm_at >= CHECKED_WITHIN:
            self.warm.open()
        return inf if self._warm_at is None else self._warm_at + CHECKED_WITHIN

    def _end(self, errands: Errands) -> None:
        if not self._over:
            self._over = True
            self._warmers.stop(errands)
            self._private.stop()
            self.warm.open()  # Whoever waits for the warmth is leaving.

    def may_arrive(self, now: float) -> bool:
        """Whether nothing holds this worker, which is warming."""
        return readiness.may_arrive(checks=self._checker.checks, warmers=self._warmers.warmers, now=now)

    def verdict(self, phase: Phase, since: float, now: float) -> Verdict:
        """Return what this worker says of itself at `now`, being in `phase` since `since`."""
        return readiness.worker(
            phase,
            since,
            checks=self._checker.checks,
            warmers=self._warmers.warmers,
            now=now,
            peers=self.peers(),
        )

    def facts(self, now: float) -> dict[str, Any]:
        """Return everything there is to know of the checks and the warmers; times are monotonic seconds."""
        return {
            "checks": [
                _check_facts(rule, state, now, out=self._checker.out(rule.name)) for rule, state in self._checker.checks
            ],
            "warmers": [_warmer_facts(rule, state, now) for rule, state in self._warmers.warmers],
        }


def _check_facts(rule: CheckRule, state: CheckState, now: float, *, out: int) -> dict[str, Any]:
    found, last = colour(rule, state, now), state.last
    return {
        "name": rule.name,
        "kind": rule.kind,
        "interval": rule.interval,
        "timeout": rule.timeout,
        "status": found.status.value,
        "stale": found.stale,
        "since": found.since,
        "why": found.why,
        "at": None if last is None else last.at,
        "latency": None if last is None else round(last.latency, 6),
        "abandoned": out,
        "history": [[round(each.at, 3), each.status.value, round(each.latency, 6)] for each in state.results],
    }


def _warmer_facts(rule: WarmerRule, state: WarmerState, now: float) -> dict[str, Any]:
    seconds = None if state.began is None else (now if state.ended is None else state.ended) - state.began
    return {
        "name": rule.name,
        "kind": rule.kind,
        "per": rule.per,
        "deadline": rule.deadline,
        "status": warming.shown(rule, state, now).value,
        "done": state.done,
        "total": state.total,
        "seconds": None if seconds is None else round(seconds, 3),
        "attempts": state.attempts,
        "why": state.why,
    }


def arrival(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a worker's facts what its arrival record says."""
    return {
        "warmers": [{key: each[key] for key in ("name", "kind", "seconds", "status")} for each in facts["warmers"]],
        "checks": [{key: each[key] for key in ("name", "status")} for each in facts["checks"]],
    }
