"""Leaving in every schedule: a virtual clock that is moved only by what happens and by `wakes_at`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from zdlife.machine.phases import Effect, Event, Machine, Phase, Reading
from zdlife.machine.settle import Limits, ends_at

SECONDS = st.floats(0, 40, allow_nan=False)
MOST_STEPS = 1000

limits = st.builds(
    Limits,
    settle=SECONDS,
    settle_quiet=SECONDS,
    settle_max=SECONDS,
    drain=SECONDS,
    cleanup=SECONDS,
    grace=st.floats(0.1, 60, allow_nan=False),
    linger=st.floats(0, 5, allow_nan=False),
)


@dataclass(frozen=True, slots=True)
class Happening:
    """What comes from outside at one moment: an event, and so much in flight from now on (None: as before)."""

    at: float
    event: Event | None = None
    in_flight: int | None = None


happenings = st.builds(
    Happening,
    at=st.floats(0, 120, allow_nan=False),
    event=st.sampled_from([None, Event.TERM, Event.INTERRUPT, Event.RELEASED, Event.SERVER_DONE]),
    in_flight=st.one_of(st.none(), st.integers(0, 2)),
)


@dataclass(frozen=True, slots=True)
class Temper:
    """How the surroundings answer, each so many seconds after it was told; infinity is never.

    `lingers` is whether a recycled worker keeps connections, `clings` whether something keeps the process alive.
    """

    queue_empties: float = 0.0
    server_stops: float = 0.0
    cleanup_ends: float = 0.0
    lingers: bool = True
    clings: bool = False


patience = st.one_of(st.just(0.0), st.just(inf), st.floats(0, 60, allow_nan=False))
tempers = st.builds(
    Temper,
    queue_empties=patience,
    server_stops=patience,
    cleanup_ends=patience,
    lingers=st.booleans(),
    clings=st.booleans(),
)


@dataclass
class Instance:
    """A machine in surroundings of a certain temper, on a clock of its own."""

    limits: Limits
    temper: Temper
    now: float = 0.0
    asked_at: float | None = None
    in_flight: int = 0
    begun: int = 0
    last_arrival: float | None = None
    effects: list[tuple[float, Effect]] = field(default_factory=list)
    answers: list[tuple[float, Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = Machine(self.limits, self.now)

    @property
    def reading(self) -> Reading:
        return Reading(self.in_flight, self.last_arrival, self.begun, self.temper.lingers, self.asked_at)

    @property
    def phase(self) -> Phase:
        return self.machine.state.phase

    @property
    def ended_at(self) -> float | None:
        """When the process ended: by force, or by itself once its server had stopped and all was reported."""
        ends = [at for at, effect in self.effects if effect is Effect.EXIT]
        if self.machine.state.server_done and not self.temper.clings:
            ends += [at for at, effect in self.effects if effect is Effect.REPORT]
        return min(ends, default=None)

    def send(self, event: Event) -> bool:
        """Let `event` happen now, and the surroundings take note; return whether it changed anything."""
        if event in (Event.TERM, Event.INTERRUPT) and self.asked_at is None:
            self.asked_at = self.now
        before = self.machine.state
        effects = self.machine.receive(event, self.now, self.reading)
        for effect in effects:
            self.effects.append((self.now, effect))
            answer = {
                # The lifecycle itself stops waiting for the queue in the middle of the drain.
                Effect.LEAVE_LISTENER: (min(self.temper.queue_empties, self.limits.drain / 2), Event.LISTENER_LEFT),
                Effect.HAND_OVER: (self.temper.server_stops, Event.SERVER_DONE),
                Effect.FORCE: (self.temper.server_stops, Event.SERVER_DONE),
                Effect.CLEAN_UP: (self.temper.cleanup_ends, Event.CLEANED_UP),
            }.get(effect)
            if answer is not None and answer[0] < inf:
                self.answers.append((self.now + answer[0], answer[1]))
        return bool(effects) or self.machine.state != before

    def moments(self, schedule: list[Happening]) -> Iterator[Happening | Event]:
        """Move the clock to whatever comes next, and yield it; TICK comes when `wakes_at` says so and never else."""
        left = sorted(schedule, key=lambda each: each.at)
        for _ in range(MOST_STEPS):
            due = self.machine.wakes_at(self.reading)
            wakes = inf if due is None else max(self.now, due)
            answer = min((at for at, _ in self.answers), default=inf)
            outside = left[0].at if left else inf
            soonest = min(wakes, answer, outside)
            if soonest == inf:
                return
            self.now = max(self.now, soonest)
            if wakes <= min(answer, outside):
                yield Event.TICK
            elif answer <= outside:
                self.answers.sort(key=lambda each: each[0])
                yield self.answers.pop(0)[1]
            else:
                yield left.pop(0)
        raise AssertionError("time does not move on: wakes_at is due again and again")

    def live(self, schedule: list[Happening]) -> None:
        """Live through `schedule`, checking after each step what holds at every moment."""
        self.send(Event.LOADED)
        self.send(Event.WARMED)
        for moment in self.moments(schedule):
            before = self.phase
            if isinstance(moment, Happening):
                if moment.in_flight is not None and moment.in_flight > self.in_flight:
                    self.begun += moment.in_flight - self.in_flight
                    self.last_arrival = self.now
                self.in_flight = self.in_flight if moment.in_flight is None else moment.in_flight
                if moment.event is not None:
                    self.send(moment.event)
            else:
                changed = self.send(moment)
                assert changed or moment is not Event.TICK, "a tick that wakes_at asked for changes something"
            order = tuple(Phase)
            assert order.index(self.phase) >= order.index(before), "an instance never goes back"
            assert not (self.machine.state.ready and self.asked_at is not None), "never ready after the signal"


instances = st.builds(Instance, limits=limits, temper=tempers)
schedules = st.lists(happenings, max_size=12)


@given(instances, schedules, st.floats(0, 120, allow_nan=False))
def test_the_process_ends_inside_the_grace_period_whatever_happens(
    instance: Instance, schedule: list[Happening], asked_at: float
) -> None:
    instance.live([*schedule, Happening(asked_at, Event.TERM, 1)])

    assert instance.asked_at is not None
    assert instance.ended_at is not None
    assert instance.ended_at <= instance.asked_at + instance.limits.grace


@given(instances, st.floats(0, 120, allow_nan=False))
def test_a_worker_that_is_let_go_ends(instance: Instance, let_go_at: float) -> None:
    instance.live([Happening(let_go_at, Event.RELEASED, 1)])
    limits = instance.limits

    assert instance.ended_at is not None
    assert instance.ended_at <= let_go_at + limits.drain + 2 * limits.cleanup + 2 * limits.linger + 1


@given(instances, schedules, st.floats(0, 120, allow_nan=False))
def test_the_report_is_written_once_and_inside_the_grace_period(
    instance: Instance, schedule: list[Happening], asked_at: float
) -> None:
    instance.live([*schedule, Happening(asked_at, Event.TERM, 0)])
    reports = [at for at, effect in instance.effects if effect is Effect.REPORT]

    assert len(reports) == 1
    assert instance.asked_at is not None
    assert reports[0] <= instance.asked_at + instance.limits.grace


@given(instances, schedules)
def test_a_server_that_does_not_stop_by_itself_is_told_to(instance: Instance, schedule: list[Happening]) -> None:
    asked = [each for each in schedule if each.event is not Event.SERVER_DONE]
    instance.live([*asked, Happening(121, Event.TERM, 0)])

    assert {Effect.HAND_OVER, Effect.FORCE} & {effect for _, effect in instance.effects}


@given(instances, schedules)
def test_the_server_is_told_to_stop_once_and_what_is_cut_is_named_once(
    instance: Instance, schedule: list[Happening]
) -> None:
    instance.live(schedule)
    done = [effect for _, effect in instance.effects]

    for effect in (Effect.HAND_OVER, Effect.NAME_THE_CUT, Effect.LEAVE_LISTENER, Effect.CLEAN_UP, Effect.SAY_GOODBYE):
        assert done.count(effect) <= 1, effect


@given(instances, schedules, st.floats(0, 60, allow_nan=False))
def test_a_repeated_sigterm_ends_nothing_sooner(instance: Instance, schedule: list[Happening], again: float) -> None:
    once = [Happening(0, Event.TERM), *(each for each in schedule if each.event is None)]
    twin = Instance(instance.limits, instance.temper)
    instance.live(once)
    twin.live([*once, Happening(again, Event.TERM)])

    assert twin.ended_at is not None
    assert (twin.ended_at, twin.effects) == (instance.ended_at, instance.effects)


@given(instances, schedules)
def test_the_passages_of_a_life_follow_one_another_without_a_gap(instance: Instance, schedule: list[Happening]) -> None:
    instance.live(schedule)
    passages = list(instance.machine.passages(instance.now, instance.reading))

    assert passages[0].at == 0
    assert passages[-1].until == instance.now
    assert [passage.until for passage in passages[:-1]] == [passage.at for passage in passages[1:]]
    assert all(passage.until >= passage.at and passage.requests >= 0 for passage in passages)
    assert sum(passage.requests for passage in passages) == instance.begun


@given(limits, st.floats(0, 1000), st.one_of(st.none(), st.floats(0, 2000)))
def test_a_settle_ends_inside_its_bounds(limits: Limits, asked_at: float, last_arrival: float | None) -> None:
    ends = ends_at(limits, asked_at=asked_at, last_arrival=last_arrival)

    assert asked_at <= ends <= asked_at + max(limits.settle, limits.settle_max)
    assert ends <= max(asked_at, asked_at + limits.grace)


@given(limits, st.floats(0, 1000), st.floats(0, 100), st.floats(0, 100))
def test_a_later_arrival_never_ends_a_settle_sooner(
    limits: Limits, asked_at: float, arrival: float, later: float
) -> None:
    first = ends_at(limits, asked_at=asked_at, last_arrival=asked_at + arrival)
    second = ends_at(limits, asked_at=asked_at, last_arrival=asked_at + arrival + later)

    assert first <= second


@given(limits, st.floats(0, 1000))
def test_a_settle_that_fits_is_not_shortened(limits: Limits, asked_at: float) -> None:
    fits = replace(limits, grace=max(limits.settle, limits.settle_max) + limits.drain + limits.cleanup + 1)

    assert ends_at(fits, asked_at=asked_at, last_arrival=None) == asked_at + limits.settle
