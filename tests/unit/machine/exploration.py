"""A small world around the machine, and a walk through everything that can happen in it.

The world has a clock that steps by whole seconds, a listener with a queue, requests, a platform that signals and a
server that may answer in its own time or never. `explore` takes every action in every reachable world up to a depth
and checks the promises after each; worlds that were reached before are not walked again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from zdlife.machine import phases, settle
from zdlife.machine.phases import TABLE, Effect, Event, Limits, Phase, Reading, Row, State

LIMITS = Limits(settle=2, settle_quiet=1, settle_max=3, drain=2, cleanup=1, grace=6, linger=1)
ENOUGH = 2
"""So many requests at a time show all that more would."""


@dataclass(frozen=True, slots=True)
class World:
    """The machine's state and everything around it that the promises speak of."""

    state: State = State()
    now: float = 0.0
    in_flight: int = 0
    queued: int = 0
    last_arrival: float | None = None
    signalled: bool = False
    cut_short: bool = False
    accepting: bool = True
    serving: bool = True
    cleaning: bool = False
    named: bool = False
    forced: bool = False
    exited: bool = False
    released: bool = False

    @property
    def reading(self) -> Reading:
        return Reading(self.in_flight, self.last_arrival)


@dataclass(frozen=True, slots=True)
class Walk:
    """How many worlds there are within the depth, and how many steps lead between them."""

    worlds: int
    steps: int
    phases: frozenset[Phase]


class Broken(AssertionError):
    """A promise does not hold; the message is the promise and the shortest way to break it."""


def explore(*, depth: int, table: Sequence[Row] = TABLE, limits: Limits = LIMITS) -> Walk:
    """Walk every interleaving up to `depth` actions and return its extent.

    Raises:
        Broken: a promise does not hold in `table`.
    """
    first = World()
    seen = {first}
    reached: deque[tuple[World, tuple[str, ...]]] = deque([(first, ())])
    steps = 0
    while reached:
        world, path = reached.popleft()
        if len(path) == depth:
            continue
        for action in _possible(world):
            steps += 1
            after = _take(world, action, (*path, action), table, limits)
            if after not in seen:
                seen.add(after)
                reached.append((after, (*path, action)))
    return Walk(len(seen), steps, frozenset(world.state.phase for world in seen))


def _possible(world: World) -> Iterator[str]:
    yield "SIGTERM"
    yield "SIGINT"
    yield "SIGQUIT"
    yield "probe"
    yield "a second passes"
    if not world.signalled and not world.released:
        yield "released"
    if world.state.phase is Phase.STARTING:
        yield "loaded"
    if world.state.phase is Phase.WARMING:
        yield "warmed"
    if world.in_flight + world.queued < ENOUGH and world.serving:
        yield "a client connects"
    if world.queued and world.serving:
        yield "the server accepts"
    if world.in_flight:
        yield "a request ends"
        yield "a worker dies"
    if not world.accepting and world.state.listening and world.queued == 0:
        yield "the queue is empty"
    if world.serving and (world.state.handed_over and world.in_flight == 0):
        yield "the server is done"
    if world.serving and world.in_flight:
        yield "the server ends before its work"
    if world.cleaning:
        yield "cleanup ends"


AT_ONCE = (Event.INTERRUPT, Event.QUIT)
SIGNALS = (Event.TERM, Event.INTERRUPT, Event.QUIT)
EVENTS = {
    "SIGTERM": Event.TERM,
    "SIGINT": Event.INTERRUPT,
    "SIGQUIT": Event.QUIT,
    "released": Event.RELEASED,
    "loaded": Event.LOADED,
    "warmed": Event.WARMED,
    "the queue is empty": Event.LISTENER_LEFT,
    "the server is done": Event.SERVER_DONE,
    "the server ends before its work": Event.SERVER_DONE,
    "cleanup ends": Event.CLEANED_UP,
}


def _take(world: World, action: str, path: tuple[str, ...], table: Sequence[Row], limits: Limits) -> World:
    match action:
        case "probe":
            _promise(not (world.state.ready and world.signalled), "ready is never answered after SIGTERM", path)
            return world
        case "a client connects":
            settling = world.state.phase is Phase.SETTLING
            _promise(world.accepting or not settling, "nothing is refused while settling", path)
            return replace(world, queued=world.queued + 1) if world.accepting else world
        case "the server accepts":
            return replace(world, queued=world.queued - 1, in_flight=world.in_flight + 1, last_arrival=world.now)
        case "a request ends":
            return replace(world, in_flight=world.in_flight - 1)
        case "a worker dies":
            return replace(world, in_flight=0)
        case "a second passes":
            return _let_time_pass(replace(world, now=world.now + 1), path, table, limits)
        case _:
            return _send(world, EVENTS[action], path, table, limits)


def _let_time_pass(world: World, path: tuple[str, ...], table: Sequence[Row], limits: Limits) -> World:
    """Send TICK until it changes nothing more, as the monitor does when something is due at once."""
    while True:
        after = _send(world, Event.TICK, path, table, limits)
        if after == world:
            return after
        world = after


def _send(world: World, event: Event, path: tuple[str, ...], table: Sequence[Row], limits: Limits) -> World:
    before = world.state
    state, effects = phases.advance(before, event, world.now, world.reading, limits, table=table)
    _check(world, event, state, effects, path, limits)
    return replace(
        world,
        state=state,
        signalled=world.signalled or event in SIGNALS,
        cut_short=world.cut_short or (event is Event.INTERRUPT and before.phase is Phase.SETTLING),
        accepting=world.accepting and Effect.LEAVE_LISTENER not in effects,
        serving=world.serving and event is not Event.SERVER_DONE and Effect.EXIT not in effects,
        cleaning=Effect.CLEAN_UP in effects or (world.cleaning and event is not Event.CLEANED_UP),
        named=world.named or Effect.NAME_THE_CUT in effects,
        forced=world.forced or Effect.FORCE in effects or event is Event.QUIT,
        exited=world.exited or Effect.EXIT in effects,
        released=world.released or event is Event.RELEASED,
    )


def _check(
    world: World,
    event: Event,
    state: State,
    effects: tuple[Effect, ...],
    path: tuple[str, ...],
    limits: Limits,
) -> None:
    before, now = world.state, world.now
    asked = before.asked_at
    _promise(
        tuple(Phase).index(state.phase) >= tuple(Phase).index(before.phase),
        "an instance never goes back",
        path,
    )
    if state.phase is Phase.SETTLING and before.phase is not Phase.SETTLING:
        somebody = before.seen or world.last_arrival is not None
        _promise(somebody, "an instance that nobody has seen leaves without settling", path)
    if asked is not None and event is Event.TERM:
        _promise(state == before and not effects, "a repeated SIGTERM changes nothing", path)
    if asked is not None and Effect.LEAVE_LISTENER in effects and event is Event.TICK:
        settled = settle.ends_at(limits, asked_at=asked, last_arrival=world.last_arrival)
        _promise(now >= settled, "the listener is left only when the settle is over", path)
    cleanup_begins = inf if asked is None else asked + limits.grace - limits.cleanup
    drain_over = min(before.since + limits.drain, cleanup_begins)
    if Effect.HAND_OVER in effects:
        left = not before.listening or event is Event.LISTENER_LEFT
        empty = left and world.queued == 0
        _promise(empty or now >= drain_over, "the server's stop begins with nothing queued", path)
        _promise(not before.handed_over, "the server is told once", path)
        _promise(now >= min(before.linger_until, drain_over), "a recycled worker lingers", path)
    if Effect.NAME_THE_CUT in effects:
        _promise(world.in_flight > 0, "what is named is in flight", path)
        _promise(not world.named, "what is in flight is named once", path)
    if before.phase is Phase.DRAINING and event is Event.TICK and Effect.NAME_THE_CUT in effects:
        _promise(now >= drain_over, "what is in flight gets the whole drain", path)
    if state.phase is Phase.STOPPING and before.phase is not Phase.STOPPING and event not in AT_ONCE:
        done = (world.in_flight == 0 and not world.serving) or event is Event.SERVER_DONE
        _promise(
            done or (before.phase is Phase.DRAINING and now >= drain_over),
            "the server gets the whole drain",
            path,
        )
        if world.in_flight:
            over = before.phase is Phase.DRAINING and now >= drain_over
            _promise(over, "what is in flight gets the whole drain", path)
    if state.phase is Phase.STOPPING and before.phase is not Phase.STOPPING and world.in_flight:
        named = world.named or Effect.NAME_THE_CUT in effects
        _promise(named, "what is cut off is named", path)
    if state.phase is Phase.STOPPED and before.phase is not Phase.STOPPED and world.serving:
        _promise(Effect.EXIT in effects, "a process whose server does not stop is ended", path)
    if state.phase is Phase.STOPPED and before.phase is not Phase.STOPPED and world.serving:
        _promise(before.handed_over or world.forced, "a server is told before it is ended", path)
    if Effect.EXIT in effects and before.phase is Phase.STOPPED:
        given = now >= min(
            before.since + limits.cleanup + limits.linger, inf if asked is None else asked + limits.grace
        )
        _promise(given, "exit handlers get a moment", path)
        _promise(asked is not None or world.released, "a process that nobody asked to end is left alone", path)
        _promise(not world.exited, "a process is ended once", path)
    elif Effect.EXIT in effects and event is Event.TICK:
        given = now - before.since >= limits.cleanup or (asked is not None and now >= asked + limits.grace)
        _promise(given, "cleanup gets its time", path)
    if state.asked_at is not None and event is Event.TICK and now - state.asked_at >= limits.grace:
        _promise(state.phase is Phase.STOPPED, "the process ends inside the grace period", path)
    if state.phase is Phase.STOPPED and before.phase is not Phase.STOPPED:
        _promise(Effect.REPORT in effects, "every end is reported", path)
    signalled = world.signalled or event in SIGNALS
    _promise(not (state.ready and signalled), "ready is never answered after SIGTERM", path)


def _promise(holds: bool, promise: str, path: tuple[str, ...]) -> None:
    if not holds:
        raise Broken(f"{promise}, but: {' > '.join(path)}")
