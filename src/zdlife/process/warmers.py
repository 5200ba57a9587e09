"""Runs the warmers, and runs again those that died half way; each once per worker or once for the whole instance."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import threading
from collections.abc import Callable
from typing import Any

from zdlife.errors import WarmingStopped, WrongUse
from zdlife.machine import warming
from zdlife.machine.warming import Warmer, WarmerRule, WarmerState, Warmth
from zdlife.process.calls import Call, Caller, InLoop, InThread, discard, is_async, shortened, why
from zdlife.process.errands import Errands
from zdlife.process.layout import MOST_ERRANDS

logger = logging.getLogger("zdlife.warmers")
ASK_AGAIN = 0.25
"""Seconds between two looks whether another worker has done what it does for all, or has died over it."""


class Warm:
    """What a warmer is handed: it says how far it is, and learns that it is to stop. Safe from any thread."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self.progress: tuple[float, float] | None = None

    @property
    def stopping(self) -> bool:
        """Whether the instance is leaving, so that nobody needs this warmth any more."""
        return self._stopping.is_set()

    def advance(self, done: float, total: float) -> None:
        """Say that `done` of `total` is done, in whatever unit; it is shown to people and changes nothing.

        Raises:
            WarmingStopped: the instance is leaving; let it pass.
            WrongUse: one of the two is no finite number.
        """
        self.progress = (_number(done), _number(total))
        if self.stopping:
            raise WarmingStopped("the instance is leaving while it warms. Let this exception pass.")

    def stop(self) -> None:
        """Have it stop."""
        self._stopping.set()


class Warmers:
    """The warmers of one process. `add` may be called from any thread; the rest belongs to the monitor's."""

    def __init__(
        self, *, loop_of: Callable[[], asyncio.AbstractEventLoop], wake: Callable[[], None], release: Callable[[], str]
    ) -> None:
        self._loop_of = loop_of
        self._wake = wake
        self._release = release
        self._runs: tuple[Running, ...] = ()
        self._stopped = False

    def add(self, rule: WarmerRule, function: Callable[..., Any]) -> None:
        """Warm one thing more.

        Raises:
            WrongUse: there is one of that name already, or there are too many that run once per instance.
        """
        if any(run.rule.reason == rule.reason for run in self._runs):
            raise WrongUse(f"there are two warmers named {rule.name!r}. Give each a name of its own.")
        if [*(run.rule.per for run in self._runs), rule.per].count("instance") > MOST_ERRANDS:
            raise WrongUse(f'an instance has room for {MOST_ERRANDS} warmers with per="instance". Join some of them.')
        self._runs = (*self._runs, Running(rule, function, self))
        self._wake()

    def caller(self, name: str, function: Callable[[], Any], *, awaited: bool) -> Caller:
        """Return what calls `function`."""
        if awaited:
            return InLoop(function, loop_of=self._loop_of, wake=self._wake)
        return InThread(function, name=f"warm-{name}", wake=self._wake)

    @property
    def warmers(self) -> tuple[Warmer, ...]:
        """The warmers with what they have come to; from any thread."""
        return tuple((run.rule, run.shown) for run in self._runs)

    def turn(self, now: float, errands: Errands) -> float:
        """Take in what has ended, begin what is due, and return when to be called again at the latest."""
        if self._stopped:
            return float("inf")
        for run in self._runs:
            run.look(now, errands, mark=self._mark(run.rule))
        warmers = self.warmers
        for rule in warming.due(warmers, now):
            next(run for run in self._runs if run.rule is rule).begin(now, errands, mark=self._mark(rule))
        return warming.wakes_at(self.warmers, now)

    def stop(self, errands: Errands) -> None:
        """Stop them all at once: nobody will be served by what they would have warmed."""
        self._stopped = True
        for run in self._runs:
            run.stop(errands, mark=self._mark(run.rule))

    def _mark(self, rule: WarmerRule) -> str:
        """Name the errand; another release warms for itself."""
        return f"{rule.reason} of {self._release()}"


class Running:
    """One warmer: what it has come to, and its run under way."""

    def __init__(self, rule: WarmerRule, function: Callable[..., Any], warmers: Warmers) -> None:
        self.rule = rule
        self.state = WarmerState()
        self._warm = Warm()
        self._call: Call | None = None
        takes_warm = _takes_an_argument(function)
        self._caller = warmers.caller(
            rule.name, (lambda: function(self._warm)) if takes_warm else function, awaited=is_async(function)
        )

    @property
    def shown(self) -> WarmerState:
        """The state, with how far it says it is."""
        progress = self._warm.progress
        return self.state if progress is None else warming.advanced(self.state, done=progress[0], total=progress[1])

    def begin(self, now: float, errands: Errands, *, mark: str) -> None:
        """Begin a run, unless another worker has it or has done it."""
        if self.rule.per == "instance":
            whose = errands.take(mark)
            if whose == "done":
                self.state = warming.ended(self.state, now)
                return
            if whose == "another's":
                self.state = warming.left_to_another(self.state, now, retry_at=now + ASK_AGAIN)
                return
        self.state = warming.began(self.state, now)
        self._warm.progress = None
        self._call = self._caller.begin()

    def look(self, now: float, errands: Errands, *, mark: str) -> None:
        """Take in a run that has ended."""
        call = self._call
        if call is None or call.ended_at is None:
            return
        self._call = None
        try:
            done = call.error is None and self._is_warm(call.value)
        except Exception as error:  # noqa: BLE001  # What was returned is the application's, and so is what it does.
            call.error, done = error, False
        if call.error is not None:
            self._fail(why(call.error), now)
        elif not done:
            self.state = warming.not_yet(self.rule, self.shown, now)
        else:
            if self.rule.per == "instance":
                errands.end(mark, now)
            self.state = warming.ended(self.shown, call.ended_at)

    def _is_warm(self, value: Any) -> bool:
        """Return whether what a run returned ends it: a warmer's return does, a sample's if the rate is high enough."""
        if self.rule.minimum is None:
            if hasattr(value, "__await__") or hasattr(value, "__next__") or hasattr(value, "__anext__"):
                discard(value)
                raise WrongUse(f"it returned a {type(value).__name__}, so nothing was done: declare it async.")
            return True
        rate = hit_rate(value)
        self._warm.progress = (round(100 * rate, 1), round(100 * self.rule.minimum, 1))
        return rate >= self.rule.minimum

    def _fail(self, said: str, now: float) -> None:
        self.state = warming.failed(self.shown, now, why=said)
        values = {"warmer": self.rule.name, "attempts": self.state.attempts, "why": said}
        logger.warning(
            "%s %s failed and runs again: %s", self.rule.kind, self.rule.name, said, extra={"zdlife": values}
        )

    def stop(self, errands: Errands, *, mark: str) -> None:
        """Stop the run under way, and let another worker have it."""
        self._warm.stop()
        if self._call is not None:
            self._caller.abandon(self._call)
            self._call = None
        if self.rule.per == "instance" and self.state.status is not Warmth.DONE:
            errands.drop(mark)


def hit_rate(value: Any) -> float:
    """Return a hit rate from 0 to 1, given as such or as a pair of hits and lookups; no lookups are no hits.

    Raises:
        WrongUse: it is neither.
    """
    try:
        if isinstance(value, tuple):
            hits, lookups = value
            rate = float(hits) / float(lookups) if lookups else 0.0
        else:
            rate = float(value)
    except (TypeError, ValueError, ArithmeticError):
        rate = -1.0
    if isinstance(value, bool | str) or not 0 <= rate <= 1:
        raise WrongUse(
            f"a sample returned {shortened(repr(value))}. Return a hit rate from 0 to 1, or (hits, lookups)."
        )
    return rate


def _number(value: float) -> float:
    """Return a number of whatever kind as one that JSON knows."""
    try:
        found = float(value)
    except (TypeError, ValueError, ArithmeticError):
        found = math.nan
    if not math.isfinite(found):
        raise WrongUse(f"a warmer is {shortened(repr(value))} far. Say finite numbers: warm.advance(done, total).")
    return int(found) if found.is_integer() else found


def _takes_an_argument(function: Callable[..., Any]) -> bool:
    """Return whether a warmer wants to be handed its `Warm`.

    Raises:
        WrongUse: it wants more than that.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # Written in C, and says nothing of itself.
        return False
    wanted = [
        each
        for each in parameters
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    if len(wanted) > 1 or any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        raise WrongUse(f"the warmer {function!r} wants more than one argument. It is called with `warm`, or with none.")
    return bool(wanted)
