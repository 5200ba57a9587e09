"""The transition table: where an instance stands, and what it does next.

An instance arrives (`starting`, `warming`, `ready`) and leaves (`settling`, `draining`, `stopping`, `stopped`). It
never goes back. The table below is all there is: the running code walks it, the exploration in the tests walks it,
and the diagram in the docs is drawn from it.

The rules behind the rows:

1.  Ready is answered in `ready` alone, and never again once the instance was asked to leave.
2.  Whoever has been seen must settle. Kubernetes takes a pod out of the endpoints *while* it signals it, not before
    ("at the same time as the kubelet is starting graceful shutdown", Kubernetes, Pod Lifecycle), so traffic still
    arrives for seconds. An instance that was never ready and never served a request has nothing to settle.
3.  While settling nothing is refused. The listener is left only when the settle is over.
4.  A second SIGTERM shortens nothing: process groups deliver it twice and Heroku several times. SIGINT cuts the settle
    short; a further SIGINT is the server's own force-quit. SIGQUIT is that at once, where the server has it so.
5.  The server's own stop begins only when no connection is queued on the listener any more. A connection in the backlog
    when the socket closes is reset, whatever the application does.
6.  What is in flight gets the whole drain, named background work included, even where the server has stopped by then.
    At its deadline it is named, and then it may be cut.
7.  Cleanup is bounded. Every phase after the signal has a deadline, so the process ends inside the grace period.
8.  A worker whose server lets it go leaves at once: either its master has done the settling for it, or it is being
    recycled (a reload, `max_requests`) while its siblings go on accepting. A recycled worker lingers on the connections
    it has, so that their clients are told `Connection: close` in an answer and are not cut in the middle of asking; and
    it goes on speaking for the instance, which is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from math import inf
from typing import Any

from zdlife.errors import IllegalTransition
from zdlife.machine import settle
from zdlife.machine.settle import Limits


class Phase(StrEnum):
    """Where an instance stands. The order of the members is the order of a life."""

    STARTING = "starting"
    WARMING = "warming"
    READY = "ready"
    SETTLING = "settling"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def arriving(self) -> bool:
        """Whether it has never been ready."""
        return self in (Phase.STARTING, Phase.WARMING)

    @property
    def leaving(self) -> bool:
        """Whether the way out has begun."""
        return self in LEAVING


LEAVING = frozenset({Phase.SETTLING, Phase.DRAINING, Phase.STOPPING, Phase.STOPPED})


class Event(StrEnum):
    """What can happen to an instance."""

    LOADED = "the application is loaded"
    WARMED = "the warmers are done"
    TERM = "SIGTERM"
    INTERRUPT = "SIGINT"
    QUIT = "SIGQUIT"
    RELEASED = "the server lets this worker go"
    LISTENER_LEFT = "no connection is queued"
    SERVER_DONE = "the server has stopped serving"
    CLEANED_UP = "cleanup is done"
    TICK = "time passes"


class Effect(Enum):
    """What the caller must do, in the order given."""

    PUBLISH = "tell the board, and so the probes, of the new phase"
    LEAVE_LISTENER = "let the accept queue run empty, then report LISTENER_LEFT"
    SAY_GOODBYE = "close long-lived connections and run the drain hooks"
    HAND_OVER = "let the server's own graceful stop begin"
    FORCE = "let the server's own force-quit begin"
    NAME_THE_CUT = "record what is still in flight, with its age and stack"
    CLEAN_UP = "run the stop hooks, then report CLEANED_UP"
    REPORT = "write the shutdown report"
    EXIT = "end the process if it has not ended by itself"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is going on around the machine at this moment.

    `in_flight` counts requests, streams, WebSockets and named work, `begun` those requests that ever began.
    `last_arrival` is the monotonic time at which the last request arrived (probes left out), or None if none ever has.
    `lingering` is False once a worker that is being recycled has no open connection left. `asked_at` is the moment of
    the stop signal, which may come before the machine learns of it; the grace period counts from there.
    """

    in_flight: int = 0
    last_arrival: float | None = None
    begun: int = 0
    lingering: bool = True
    asked_at: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Where one instance stands, and since when; a value, replaced and never changed."""

    phase: Phase = Phase.STARTING
    since: float = 0.0
    seen: bool = False
    asked_at: float | None = None
    cause: str | None = None
    settle_ended_at: float | None = None
    last_settled: float | None = None
    linger_until: float = 0.0
    listening: bool = True
    handed_over: bool = False
    server_done: bool = False
    named: bool = False
    ended: bool = False
    forced: str | None = None

    @property
    def ready(self) -> bool:
        """Whether readiness may be answered: rule 1, and rule 8 for a recycled worker."""
        if self.asked_at is not None:
            return False
        return self.phase is Phase.READY or (self.phase is Phase.DRAINING and self.seen)


Guard = Callable[["Moment"], bool]


@dataclass(frozen=True, slots=True)
class Moment:
    """All that a guard may look at."""

    state: State
    event: Event
    now: float
    reading: Reading
    limits: Limits

    @property
    def settle_ends_at(self) -> float:
        assert self.state.asked_at is not None
        return settle.ends_at(self.limits, asked_at=self.state.asked_at, last_arrival=self.reading.last_arrival)

    @property
    def drain_ends_at(self) -> float:
        """The drain's own length, cut short where a late beginning would break the grace period."""
        return min(self.state.since + self.limits.drain, self._cleanup_must_begin_at)

    @property
    def server_overdue_at(self) -> float:
        """A moment after the drain's end: the server's own deadline is the same, and its last words are welcome."""
        return min(self.drain_ends_at + min(1.0, self.limits.cleanup), self._cleanup_must_begin_at)

    @property
    def cleanup_ends_at(self) -> float:
        """The cleanup's own length, cut short where the grace period ends before."""
        return min(self.state.since + self.limits.cleanup, self._grace_ends_at)

    @property
    def process_ends_at(self) -> float:
        """A moment for exit handlers after the report; a server that stopped unasked may have reasons to go on."""
        if self.state.cause == Event.SERVER_DONE.value:
            return inf
        return min(self.state.since + self.limits.cleanup + self.limits.linger, self._grace_ends_at)

    @property
    def _grace_ends_at(self) -> float:
        return inf if self.state.asked_at is None else self.state.asked_at + self.limits.grace

    @property
    def _cleanup_must_begin_at(self) -> float:
        return self._grace_ends_at - self.limits.cleanup


def seen(moment: Moment) -> bool:
    """Somebody may be sending requests here: it has been ready, or a request has come."""
    return moment.state.seen or moment.reading.last_arrival is not None


def settle_over(moment: Moment) -> bool:
    """The balancer has noticed, or has had the time it was given."""
    return moment.now >= moment.settle_ends_at


def nothing_queued(moment: Moment) -> bool:
    """The listener is left, and a recycled worker has lingered."""
    state = moment.state
    left = not state.listening or moment.event is Event.LISTENER_LEFT
    lingered = moment.now >= state.linger_until or not moment.reading.lingering
    return left and lingered and not (state.handed_over or state.server_done)


def unasked(moment: Moment) -> bool:
    """This is the first stop signal."""
    return moment.state.asked_at is None


def untold(moment: Moment) -> bool:
    """The drain's deadline has come, and the server does not know yet that it is to stop."""
    state = moment.state
    return moment.now >= moment.drain_ends_at and not (state.handed_over or state.server_done)


def drain_over_and_busy(moment: Moment) -> bool:
    """The drain's deadline has come and something is in flight that nobody has named yet."""
    return moment.now >= moment.drain_ends_at and moment.reading.in_flight > 0 and not moment.state.named


def server_overdue(moment: Moment) -> bool:
    """The server has had the drain and a moment more, and still has not said that it is done."""
    return moment.now >= moment.server_overdue_at


def busy(moment: Moment) -> bool:
    """Something is in flight that nobody has named yet."""
    return moment.reading.in_flight > 0 and not moment.state.named


def idle(moment: Moment) -> bool:
    """The server has stopped serving, and nothing is in flight, or what is has been named."""
    done = moment.state.server_done or moment.event is Event.SERVER_DONE
    return done and (moment.reading.in_flight == 0 or moment.state.named)


def server_gone(moment: Moment) -> bool:
    """The server has stopped serving by itself, so that the process ends by itself too."""
    return moment.state.server_done


def cleanup_over(moment: Moment) -> bool:
    """The cleanup has had its time, counted so that the grace period holds."""
    return moment.now >= moment.cleanup_ends_at


def overstayed(moment: Moment) -> bool:
    """The process was asked to end, has had the time to, and something in it goes on."""
    return moment.now >= moment.process_ends_at and not moment.state.ended


GUARDS: tuple[Guard, ...] = (
    seen,
    settle_over,
    nothing_queued,
    unasked,
    untold,
    drain_over_and_busy,
    server_overdue,
    busy,
    idle,
    server_gone,
    cleanup_over,
    overstayed,
)


@dataclass(frozen=True, slots=True)
class Row:
    """In `phase`, when `event` happens and `guard` holds: go to `to` and do `effects`. The first that holds wins."""

    phase: Phase
    event: Event
    to: Phase
    effects: tuple[Effect, ...] = ()
    guard: Guard | None = None


S, W, R = Phase.STARTING, Phase.WARMING, Phase.READY
SETTLING, DRAINING, STOPPING, STOPPED = Phase.SETTLING, Phase.DRAINING, Phase.STOPPING, Phase.STOPPED
PUBLISH, LEAVE, GOODBYE = Effect.PUBLISH, Effect.LEAVE_LISTENER, Effect.SAY_GOODBYE
NAME, CLEAN_UP, REPORT = Effect.NAME_THE_CUT, Effect.CLEAN_UP, Effect.REPORT

TABLE: tuple[Row, ...] = (
    # Arriving.
    Row(S, Event.LOADED, W, (PUBLISH,)),
    Row(W, Event.WARMED, R, (PUBLISH,)),
    # Asked to leave: settle, unless nobody can have seen this instance (rule 2).
    *(
        row
        for phase in (S, W, R)
        for asked in (Event.TERM, Event.INTERRUPT)
        for row in (
            Row(phase, asked, SETTLING, (PUBLISH,), seen),
            Row(phase, asked, DRAINING, (PUBLISH, LEAVE, GOODBYE)),
        )
    ),
    # Let go: somebody else settles, or nobody need (rule 8).
    *(Row(phase, Event.RELEASED, DRAINING, (LEAVE, GOODBYE)) for phase in (S, W, R)),
    # Settling: everything is served, until the settle is over (rule 3) or is cut short (rule 4).
    Row(SETTLING, Event.TERM, SETTLING),
    Row(SETTLING, Event.TICK, DRAINING, (PUBLISH, LEAVE, GOODBYE), settle_over),
    Row(SETTLING, Event.INTERRUPT, DRAINING, (PUBLISH, LEAVE, GOODBYE)),
    Row(SETTLING, Event.RELEASED, DRAINING, (PUBLISH, LEAVE, GOODBYE)),
    # Draining: first the queue (rule 5), then the server's own stop; what is in flight gets the whole drain (rule 6).
    Row(DRAINING, Event.TERM, DRAINING, (PUBLISH,), unasked),
    Row(DRAINING, Event.RELEASED, DRAINING),
    Row(DRAINING, Event.LISTENER_LEFT, DRAINING, (Effect.HAND_OVER,), nothing_queued),
    Row(DRAINING, Event.LISTENER_LEFT, DRAINING),
    Row(DRAINING, Event.TICK, DRAINING, (NAME,), drain_over_and_busy),
    Row(DRAINING, Event.TICK, DRAINING, (Effect.HAND_OVER,), untold),
    Row(DRAINING, Event.TICK, STOPPING, (PUBLISH, CLEAN_UP), idle),
    Row(DRAINING, Event.TICK, STOPPING, (PUBLISH, CLEAN_UP), server_overdue),
    Row(DRAINING, Event.TICK, DRAINING, (Effect.HAND_OVER,), nothing_queued),
    Row(DRAINING, Event.INTERRUPT, STOPPING, (NAME, PUBLISH, Effect.FORCE, CLEAN_UP), busy),
    Row(DRAINING, Event.INTERRUPT, STOPPING, (PUBLISH, Effect.FORCE, CLEAN_UP)),
    # The server quits and drops what it holds; that is named first.
    *(
        row
        for phase in (S, W, R, SETTLING, DRAINING)
        for row in (
            Row(phase, Event.QUIT, STOPPING, (NAME, PUBLISH, CLEAN_UP), busy),
            Row(phase, Event.QUIT, STOPPING, (PUBLISH, CLEAN_UP)),
        )
    ),
    # The server has stopped serving, asked by us or by itself: what it left in flight still has the drain.
    *(
        row
        for phase in (S, W, R, SETTLING, DRAINING)
        for row in (
            Row(phase, Event.SERVER_DONE, STOPPING, (PUBLISH, CLEAN_UP), idle),
            Row(phase, Event.SERVER_DONE, DRAINING, (PUBLISH, GOODBYE) if phase is not DRAINING else ()),
        )
    ),
    # Stopping: the hooks run, inside their time (rule 7).
    Row(STOPPING, Event.SERVER_DONE, STOPPING),
    Row(STOPPING, Event.CLEANED_UP, STOPPED, (PUBLISH, REPORT), server_gone),
    Row(STOPPING, Event.CLEANED_UP, STOPPED, (PUBLISH, REPORT, Effect.EXIT)),
    Row(STOPPING, Event.TICK, STOPPED, (PUBLISH, REPORT, Effect.EXIT), cleanup_over),
    Row(STOPPING, Event.INTERRUPT, STOPPING, (Effect.FORCE,)),
    # Asked only now: the grace period counts for what is left.
    Row(STOPPING, Event.TERM, STOPPING, (), unasked),
    Row(STOPPED, Event.TERM, STOPPED, (), unasked),
    Row(STOPPED, Event.INTERRUPT, STOPPED, (), unasked),
    # Stopped, and everything said: a process that something keeps alive is ended all the same (rule 7).
    Row(STOPPED, Event.TICK, STOPPED, (Effect.EXIT,), overstayed),
)

PASSES_UNNOTICED = frozenset({Event.TICK, Event.TERM, Event.INTERRUPT, Event.QUIT, Event.RELEASED, Event.SERVER_DONE})
"""Events that may come at any time from outside: where no row takes them, they change nothing."""


def advance(
    state: State,
    event: Event,
    now: float,
    reading: Reading,
    limits: Limits,
    *,
    table: Sequence[Row] = TABLE,
) -> tuple[State, tuple[Effect, ...]]:
    """Return the state after `event` and what the caller must do, in order.

    Raises:
        IllegalTransition: `event` cannot happen in this phase.
    """
    moment = Moment(state, event, now, reading, limits)
    for row in table:
        if row.phase is state.phase and row.event is event and (row.guard is None or row.guard(moment)):
            return _enter(moment, row), row.effects
    if event in PASSES_UNNOTICED or state.phase.leaving:
        return state, ()
    raise IllegalTransition(state.phase, event)


def _enter(moment: Moment, row: Row) -> State:
    """Return the state that `row` leads to; the only place where a state is made."""
    before = moment.state
    entered = before if row.to is before.phase else replace(before, phase=row.to, since=moment.now)
    return replace(entered, **_learned(moment, row), **_done(moment, row))


def _learned(moment: Moment, row: Row) -> dict[str, Any]:
    """Return what the event says of the instance."""
    before, now = moment.state, moment.now
    match moment.event:
        case Event.WARMED:
            return {"seen": True}
        case Event.TERM | Event.INTERRUPT | Event.QUIT if before.asked_at is None:
            asked_at = now if moment.reading.asked_at is None else min(now, moment.reading.asked_at)
            return {"asked_at": asked_at, "cause": moment.event.value, "linger_until": 0.0}
        case Event.RELEASED if before.asked_at is None and not before.phase.leaving:
            return {"cause": moment.event.value, "linger_until": now + moment.limits.linger}
        case Event.LISTENER_LEFT:
            return {"listening": False}
        case Event.SERVER_DONE:
            return {"cause": before.cause or moment.event.value, "server_done": True, "listening": False}
        case _:
            return {}


NAMED_BECAUSE = {
    Event.TICK: "drain deadline",
    Event.INTERRUPT: "SIGINT while draining",
    Event.QUIT: "SIGQUIT",
}


def _done(moment: Moment, row: Row) -> dict[str, Any]:
    """Return what the row's effects leave behind, and why the end was forced, if it was."""
    before, effects = moment.state, row.effects
    done: dict[str, Any] = {}
    forced = None
    if before.phase is Phase.SETTLING and row.to is Phase.DRAINING:
        done |= {"settle_ended_at": moment.now, "last_settled": moment.reading.last_arrival}
    if Effect.HAND_OVER in effects:
        done["handed_over"] = True
    if Effect.EXIT in effects:
        done["ended"] = True
    if Effect.NAME_THE_CUT in effects:
        done["named"] = True
        forced = NAMED_BECAUSE[moment.event]
    elif Effect.FORCE in effects:
        forced = "SIGINT while draining"
    elif moment.event is Event.TICK and row.to is Phase.STOPPING and not before.server_done:
        forced = "the server did not stop by the drain deadline"
    elif row.guard is cleanup_over:
        forced = "the cleanup did not end in its time"
    return {**done, "forced": before.forced or forced}


@dataclass(frozen=True, slots=True)
class Passage:
    """One phase that an instance has been in, `[at, until)` in monotonic seconds, and the requests that began in it."""

    phase: Phase
    at: float
    until: float
    requests: int


class Machine:
    """One instance's state, and the phases it has been through.

    Not thread-safe: exactly one thread or main loop owns a machine, and everybody else posts events to it.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self.state = State(since=now)
        self._entered: list[tuple[Phase, float, int]] = [(Phase.STARTING, now, 0)]

    def receive(self, event: Event, now: float, reading: Reading) -> tuple[Effect, ...]:
        """Advance by one event and say what the caller must do, in order.

        `now` is monotonic seconds and never less than at the last call. A second SIGTERM shortens nothing.

        Raises:
            IllegalTransition: `event` cannot happen in this phase; the state is unchanged.
        """
        before = self.state.phase
        self.state, effects = advance(self.state, event, now, reading, self.limits)
        if self.state.phase is not before:
            self._entered.append((self.state.phase, now, reading.begun))
        return effects

    @property
    def entered(self) -> tuple[tuple[Phase, float], ...]:
        """The phases until now and when each began, oldest first; from any thread."""
        return tuple((phase, at) for phase, at, _ in tuple(self._entered))

    def passages(self, now: float, reading: Reading) -> Iterator[Passage]:
        """Yield every phase until `now`, oldest first."""
        ends = [*self._entered[1:], (Phase.STOPPED, now, reading.begun)]
        for (phase, at, begun), (_, until, begun_then) in zip(self._entered, ends, strict=True):
            yield Passage(phase, at, until, begun_then - begun)

    def wakes_at(self, reading: Reading) -> float | None:
        """Return when the next TICK can make a difference, or None while only an event can."""
        state = self.state
        moment = Moment(state, Event.TICK, state.since, reading, self.limits)
        match state.phase:
            case Phase.SETTLING:
                return moment.settle_ends_at
            case Phase.DRAINING:
                due = [moment.server_overdue_at]
                if not (state.handed_over or state.server_done):
                    due.append(moment.drain_ends_at)
                if state.server_done and (reading.in_flight == 0 or state.named):
                    due.append(state.since)
                if not state.named and reading.in_flight > 0:
                    due.append(moment.drain_ends_at)
                if not state.listening and not (state.handed_over or state.server_done):
                    due.append(state.linger_until)
                return min(due)
            case Phase.STOPPING:
                return moment.cleanup_ends_at
            case Phase.STOPPED if not state.ended:
                return moment.process_ends_at
            case _:
                return None
