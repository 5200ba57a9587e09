"""The transition table, rule by rule, and what the machine keeps of a life."""

from __future__ import annotations

from math import inf

import pytest

from zdlife.errors import IllegalTransition
from zdlife.machine.phases import (
    LEAVING,
    PASSES_UNNOTICED,
    TABLE,
    Effect,
    Event,
    Machine,
    Passage,
    Phase,
    Reading,
    State,
    advance,
)
from zdlife.machine.settle import Limits

LIMITS = Limits(settle=5, settle_quiet=2, settle_max=10, drain=15, cleanup=3, grace=40, linger=2)
QUIET = Reading()
BUSY = Reading(in_flight=2, last_arrival=1.0, begun=3)


class Life:
    """A machine and its own clock: what happened last, and what it made of it."""

    def __init__(self, *, limits: Limits = LIMITS, reading: Reading = QUIET) -> None:
        self.now = 0.0
        self.reading = reading
        self.machine = Machine(limits, self.now)
        self.effects: tuple[Effect, ...] = ()

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def phase(self) -> Phase:
        return self.machine.state.phase

    def then(self, *events: Event, after: float = 0.0) -> Life:
        """Let `events` happen at once, `after` seconds from now."""
        self.now += after
        for event in events:
            self.effects = self.machine.receive(event, self.now, self.reading)
        return self

    def with_(self, reading: Reading) -> Life:
        """Let the surroundings be these from now on."""
        self.reading = reading
        return self


def ready(*, limits: Limits = LIMITS, reading: Reading = QUIET) -> Life:
    return Life(limits=limits, reading=reading).then(Event.LOADED, Event.WARMED)


def settling(*, limits: Limits = LIMITS, reading: Reading = QUIET) -> Life:
    return ready(limits=limits, reading=reading).then(Event.TERM)


def draining(*, limits: Limits = LIMITS, reading: Reading = QUIET) -> Life:
    return settling(limits=limits, reading=reading).then(Event.INTERRUPT)


def handed_over(*, limits: Limits = LIMITS, reading: Reading = QUIET) -> Life:
    return draining(limits=limits, reading=reading).then(Event.LISTENER_LEFT)


def recycled(*, limits: Limits = LIMITS, reading: Reading = QUIET) -> Life:
    return ready(limits=limits, reading=reading).then(Event.RELEASED)


def stopping(*, limits: Limits = LIMITS) -> Life:
    return handed_over(limits=limits).then(Event.SERVER_DONE)


def stopped() -> Life:
    return stopping().then(Event.CLEANED_UP)


IN_EACH_PHASE = {
    Phase.STARTING: Life,
    Phase.WARMING: lambda: Life().then(Event.LOADED),
    Phase.READY: ready,
    Phase.SETTLING: settling,
    Phase.DRAINING: draining,
    Phase.STOPPING: stopping,
    Phase.STOPPED: stopped,
}


def test_there_is_a_life_in_each_phase() -> None:
    assert {phase: life().phase for phase, life in IN_EACH_PHASE.items()} == {phase: phase for phase in Phase}


def test_leaving_is_every_phase_from_settling_on() -> None:
    assert [phase.leaving for phase in Phase] == [False, False, False, True, True, True, True]
    assert frozenset(phase for phase in Phase if phase.leaving) == LEAVING


# Rule 1: ready.


def test_loaded_and_warmed_make_it_ready() -> None:
    assert ready().state.ready


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.READY])
def test_ready_is_answered_in_no_other_phase(phase: Phase) -> None:
    assert not IN_EACH_PHASE[phase]().state.ready


def test_each_step_of_arriving_is_published() -> None:
    life = Life()

    assert life.then(Event.LOADED).effects == (Effect.PUBLISH,)
    assert life.then(Event.WARMED).effects == (Effect.PUBLISH,)


# Rule 2: whoever has been seen must settle.


@pytest.mark.parametrize("signal", [Event.TERM, Event.INTERRUPT], ids=["SIGTERM", "SIGINT"])
def test_a_ready_instance_settles(signal: Event) -> None:
    life = ready().then(signal, after=7)

    assert life.phase is Phase.SETTLING
    assert life.effects == (Effect.PUBLISH,)
    assert (life.state.asked_at, life.state.cause) == (7, signal.value)


@pytest.mark.parametrize("signal", [Event.TERM, Event.INTERRUPT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.WARMING])
def test_an_instance_nobody_has_seen_leaves_without_settling(phase: Phase, signal: Event) -> None:
    life = IN_EACH_PHASE[phase]().then(signal)

    assert life.phase is Phase.DRAINING
    assert life.effects == (Effect.PUBLISH, Effect.LEAVE_LISTENER, Effect.SAY_GOODBYE)


def test_an_instance_that_served_before_it_was_ready_settles() -> None:
    assert Life(reading=BUSY).then(Event.TERM).phase is Phase.SETTLING


# Rule 3: while settling nothing is refused.


def test_the_listener_is_kept_until_the_settle_is_over() -> None:
    life = settling().then(Event.TICK, after=4.9)

    assert (life.phase, life.effects) == (Phase.SETTLING, ())


def test_the_listener_is_left_when_the_settle_is_over() -> None:
    life = settling().then(Event.TICK, after=5)

    assert life.phase is Phase.DRAINING
    assert life.effects == (Effect.PUBLISH, Effect.LEAVE_LISTENER, Effect.SAY_GOODBYE)
    assert life.state.settle_ended_at == 5


def test_requests_that_still_arrive_prolong_the_settle() -> None:
    life = settling().with_(Reading(last_arrival=4.5)).then(Event.TICK, after=6)

    assert life.phase is Phase.SETTLING
    assert life.then(Event.TICK, after=0.5).phase is Phase.DRAINING


# Rule 4: a repeated SIGTERM shortens nothing; SIGINT cuts the settle short.


@pytest.mark.parametrize("phase", sorted(LEAVING))
def test_a_repeated_sigterm_changes_nothing(phase: Phase) -> None:
    life = IN_EACH_PHASE[phase]()
    before = life.state

    assert life.then(Event.TERM, after=1).state == before
    assert life.effects == ()


def test_sigint_cuts_the_settle_short() -> None:
    life = settling().then(Event.INTERRUPT, after=1)

    assert life.phase is Phase.DRAINING
    assert life.effects == (Effect.PUBLISH, Effect.LEAVE_LISTENER, Effect.SAY_GOODBYE)


def test_sigint_while_draining_forces_the_server() -> None:
    life = handed_over().then(Event.INTERRUPT)

    assert life.phase is Phase.STOPPING
    assert life.effects == (Effect.PUBLISH, Effect.FORCE, Effect.CLEAN_UP)
    assert life.state.forced is not None


def test_sigint_while_draining_names_what_it_cuts_off_first() -> None:
    life = handed_over(reading=BUSY).then(Event.INTERRUPT)

    assert life.effects == (Effect.NAME_THE_CUT, Effect.PUBLISH, Effect.FORCE, Effect.CLEAN_UP)


def test_sigint_while_draining_does_not_name_twice() -> None:
    life = handed_over(reading=BUSY).then(Event.TICK, after=15)
    assert life.effects == (Effect.NAME_THE_CUT,)

    assert Effect.NAME_THE_CUT not in life.then(Event.INTERRUPT).effects


def test_sigint_while_stopping_forces_the_server() -> None:
    life = stopping().then(Event.INTERRUPT)

    assert (life.phase, life.effects) == (Phase.STOPPING, (Effect.FORCE,))


# Rule 5: the server's own stop begins when nothing is queued.


def test_the_server_is_told_when_nothing_is_queued() -> None:
    assert draining().then(Event.LISTENER_LEFT).effects == (Effect.HAND_OVER,)


def test_the_server_is_not_told_before() -> None:
    assert draining().then(Event.TICK, after=1).effects == ()


def test_the_server_is_told_once() -> None:
    life = handed_over().then(Event.LISTENER_LEFT)
    assert life.effects == ()

    assert life.then(Event.TICK, after=1).effects == ()


def test_a_server_that_was_never_told_is_told_at_the_end_of_the_drain() -> None:
    life = draining().then(Event.TICK, after=14.9)
    assert life.effects == ()

    assert life.then(Event.TICK, after=0.1).effects == (Effect.HAND_OVER,)


# Rule 6: what is in flight gets the whole drain.


def test_what_is_in_flight_is_left_alone_until_the_deadline() -> None:
    assert handed_over(reading=BUSY).then(Event.TICK, after=14.9).effects == ()


def test_what_is_in_flight_at_the_deadline_is_named() -> None:
    life = handed_over(reading=BUSY).then(Event.TICK, after=15)

    assert (life.phase, life.effects) == (Phase.DRAINING, (Effect.NAME_THE_CUT,))
    assert life.state.forced == "drain deadline"


def test_background_work_gets_the_drain_although_the_server_is_done() -> None:
    life = handed_over(reading=BUSY).then(Event.SERVER_DONE)
    assert (life.phase, life.effects) == (Phase.DRAINING, ())

    assert life.with_(QUIET).then(Event.TICK, after=1).phase is Phase.STOPPING
    assert life.state.forced is None


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.WARMING, Phase.READY, Phase.SETTLING])
def test_a_server_that_stops_by_itself_leaves_its_work_the_drain(phase: Phase) -> None:
    life = IN_EACH_PHASE[phase]().with_(BUSY).then(Event.SERVER_DONE)

    assert life.phase is Phase.DRAINING
    assert life.effects == (Effect.PUBLISH, Effect.SAY_GOODBYE)


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.WARMING, Phase.READY, Phase.SETTLING, Phase.DRAINING])
def test_a_server_that_stops_with_nothing_in_flight_lets_cleanup_begin(phase: Phase) -> None:
    life = IN_EACH_PHASE[phase]().then(Event.SERVER_DONE)

    assert life.phase is Phase.STOPPING
    assert life.effects == (Effect.PUBLISH, Effect.CLEAN_UP)
    assert life.state.forced is None


def test_a_server_that_stops_unasked_is_the_cause() -> None:
    assert ready().then(Event.SERVER_DONE).state.cause == Event.SERVER_DONE.value


def test_a_server_that_was_asked_to_stop_is_not_the_cause() -> None:
    assert stopping().state.cause == Event.TERM.value


# Rule 7: every phase after the signal has a deadline.


def test_a_server_that_never_stops_is_not_waited_for_longer_than_a_moment_after_the_drain() -> None:
    life = handed_over().then(Event.TICK, after=15.9)
    assert life.phase is Phase.DRAINING

    life.then(Event.TICK, after=0.1)

    assert life.phase is Phase.STOPPING
    assert life.state.forced == "the server did not stop by the drain deadline"


def test_the_drain_is_cut_short_where_the_grace_period_ends() -> None:
    too_long = Limits(settle=25, settle_max=25, drain=15, cleanup=3, grace=40)
    life = settling(limits=too_long, reading=BUSY).then(Event.TICK, after=25)
    assert life.phase is Phase.DRAINING

    assert life.then(Event.TICK, after=11.9).effects == ()
    assert life.then(Event.TICK, after=0.1).effects == (Effect.NAME_THE_CUT,)


def test_the_grace_period_counts_from_the_signal_and_not_from_its_news() -> None:
    life = ready().with_(Reading(asked_at=2.0)).then(Event.TERM, after=6)

    assert life.state.asked_at == 2
    assert life.then(Event.TICK, after=1).phase is Phase.DRAINING


def test_cleanup_that_ends_in_time_is_reported() -> None:
    life = stopping().then(Event.CLEANED_UP, after=1)

    assert life.phase is Phase.STOPPED
    assert life.effects == (Effect.PUBLISH, Effect.REPORT)
    assert life.state.forced is None


def test_cleanup_that_does_not_end_is_cut_off() -> None:
    life = stopping().then(Event.TICK, after=2.9)
    assert life.phase is Phase.STOPPING

    life.then(Event.TICK, after=0.1)

    assert life.phase is Phase.STOPPED
    assert life.effects == (Effect.PUBLISH, Effect.REPORT, Effect.EXIT)
    assert life.state.forced == "the cleanup did not end in its time"


def test_cleanup_is_cut_short_where_the_grace_period_ends() -> None:
    tight = Limits(settle=5, settle_max=5, drain=15, cleanup=3, grace=21)
    life = settling(limits=tight).then(Event.TICK, after=5).then(Event.LISTENER_LEFT)
    life.then(Event.SERVER_DONE, after=14)

    assert life.then(Event.TICK, after=1.9).phase is Phase.STOPPING
    assert life.then(Event.TICK, after=0.1).phase is Phase.STOPPED


def test_a_server_that_still_runs_after_cleanup_is_ended() -> None:
    life = handed_over().then(Event.TICK, after=16).then(Event.CLEANED_UP)

    assert life.effects == (Effect.PUBLISH, Effect.REPORT, Effect.EXIT)


def test_a_server_that_stops_during_cleanup_ends_by_itself() -> None:
    life = handed_over().then(Event.TICK, after=16).then(Event.SERVER_DONE, Event.CLEANED_UP)

    assert life.effects == (Effect.PUBLISH, Effect.REPORT)


# Rule 8: a worker that is let go.


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.WARMING, Phase.READY])
def test_a_worker_that_is_let_go_does_not_settle(phase: Phase) -> None:
    life = IN_EACH_PHASE[phase]().then(Event.RELEASED)

    assert life.phase is Phase.DRAINING
    assert life.effects == (Effect.LEAVE_LISTENER, Effect.SAY_GOODBYE)
    assert life.state.cause == Event.RELEASED.value


def test_a_recycled_worker_goes_on_speaking_for_its_ready_instance() -> None:
    assert recycled().state.ready


def test_a_worker_let_go_before_it_was_ready_says_nothing_of_the_sort() -> None:
    assert not Life().then(Event.RELEASED).state.ready


def test_a_recycled_worker_is_not_ready_any_more_once_the_instance_is_asked_to_leave() -> None:
    life = recycled().then(Event.TERM, after=1)

    assert not life.state.ready
    assert life.effects == (Effect.PUBLISH,)
    assert (life.state.asked_at, life.state.cause) == (1, Event.TERM.value)


def test_a_recycled_worker_lingers_on_its_connections() -> None:
    life = recycled().then(Event.LISTENER_LEFT)
    assert life.effects == ()

    assert life.then(Event.TICK, after=1.9).effects == ()
    assert life.then(Event.TICK, after=0.1).effects == (Effect.HAND_OVER,)


def test_a_recycled_worker_without_connections_does_not_linger() -> None:
    assert recycled(reading=Reading(lingering=False)).then(Event.LISTENER_LEFT).effects == (Effect.HAND_OVER,)


def test_a_signal_ends_the_lingering() -> None:
    life = recycled().then(Event.LISTENER_LEFT, Event.TERM)

    assert life.then(Event.TICK).effects == (Effect.HAND_OVER,)


def test_a_worker_whose_master_has_settled_leaves_at_once() -> None:
    life = settling(limits=Limits(settle=inf, settle_max=inf)).then(Event.RELEASED)

    assert life.phase is Phase.DRAINING
    assert life.then(Event.LISTENER_LEFT).effects == (Effect.HAND_OVER,)


def test_to_be_let_go_twice_changes_nothing() -> None:
    life = recycled()
    before = life.state

    assert life.then(Event.RELEASED, after=1).state == before


# Events out of turn.


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", sorted(PASSES_UNNOTICED))
def test_what_comes_from_outside_may_come_at_any_time(event: Event, phase: Phase) -> None:
    IN_EACH_PHASE[phase]().then(event)


@pytest.mark.parametrize(
    ("phase", "event"),
    [
        (phase, event)
        for phase in (Phase.STARTING, Phase.WARMING, Phase.READY)
        for event in (Event.LOADED, Event.WARMED, Event.LISTENER_LEFT, Event.CLEANED_UP)
        if not any(row.phase is phase and row.event is event for row in TABLE)
    ],
)
def test_our_own_word_out_of_turn_is_illegal_and_changes_nothing(phase: Phase, event: Event) -> None:
    life = IN_EACH_PHASE[phase]()
    before = life.state

    with pytest.raises(IllegalTransition) as caught:
        life.then(event)

    assert life.state == before
    assert (caught.value.phase, caught.value.event) == (phase, event)


@pytest.mark.parametrize("phase", sorted(LEAVING))
def test_an_application_that_is_loaded_on_the_way_out_is_not_ready(phase: Phase) -> None:
    life = IN_EACH_PHASE[phase]()
    before = life.state

    assert life.then(Event.LOADED, Event.WARMED).state == before


@pytest.mark.parametrize("event", [event for event in Event if event is not Event.TICK])
def test_nothing_happens_after_the_end(event: Event) -> None:
    life = stopped()
    before = life.state

    assert life.then(event, after=100).effects == ()
    assert life.state == before


def test_a_process_that_something_keeps_alive_is_ended_once() -> None:
    life = stopped().then(Event.TICK, after=4.9)
    assert life.effects == ()

    assert life.then(Event.TICK, after=0.1).effects == (Effect.EXIT,)
    assert life.then(Event.TICK, after=100).effects == ()


def test_a_process_that_something_keeps_alive_is_ended_inside_the_grace_period() -> None:
    tight = Limits(settle=5, settle_max=5, drain=15, cleanup=3, grace=23)
    life = settling(limits=tight).then(Event.TICK, after=5).then(Event.LISTENER_LEFT)
    life.then(Event.SERVER_DONE, after=15).then(Event.CLEANED_UP, after=2)

    assert life.then(Event.TICK, after=0.9).effects == ()
    assert life.then(Event.TICK, after=0.1).effects == (Effect.EXIT,)


def test_a_process_that_nobody_asked_to_end_is_left_alone() -> None:
    life = ready().then(Event.SERVER_DONE, Event.CLEANED_UP)

    assert life.then(Event.TICK, after=1000).effects == ()
    assert life.machine.wakes_at(QUIET) == inf


def test_a_state_is_never_changed_in_place() -> None:
    before = State()
    after, _ = advance(before, Event.LOADED, 1.0, QUIET, LIMITS)

    assert before == State()
    assert after.phase is Phase.WARMING


# What the machine keeps.


def test_the_phases_entered_are_told_while_it_lives() -> None:
    life = Life().then(Event.LOADED, after=3)

    assert life.machine.entered == ((Phase.STARTING, 0), (Phase.WARMING, 3.0))


def test_the_passages_cover_the_whole_life_without_a_gap() -> None:
    life = ready()
    life.then(Event.TERM, after=10).then(Event.TICK, after=5).then(Event.LISTENER_LEFT)
    life.then(Event.SERVER_DONE, after=1).then(Event.CLEANED_UP, after=2)

    passages = list(life.machine.passages(18.0, QUIET))

    assert [passage.phase for passage in passages] == list(Phase)
    assert [passage.at for passage in passages] == [0, 0, 0, 10, 15, 16, 18]
    assert [passage.until for passage in passages] == [0, 0, 10, 15, 16, 18, 18]


def test_a_passage_counts_the_requests_that_began_in_it() -> None:
    life = ready().with_(Reading(begun=7)).then(Event.TERM, after=10)

    assert list(life.machine.passages(12.0, Reading(begun=9)))[2:] == [
        Passage(Phase.READY, 0, 10, 7),
        Passage(Phase.SETTLING, 10, 12, 2),
    ]


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.WARMING, Phase.READY])
def test_time_alone_changes_nothing_before_the_signal(phase: Phase) -> None:
    assert IN_EACH_PHASE[phase]().machine.wakes_at(QUIET) is None


@pytest.mark.parametrize(
    ("life", "reading", "at"),
    [
        pytest.param(settling, QUIET, 5, id="settling"),
        pytest.param(settling, Reading(last_arrival=4.0), 6, id="settling-under-load"),
        pytest.param(draining, QUIET, 15, id="untold"),
        pytest.param(handed_over, QUIET, 16, id="told"),
        pytest.param(lambda: handed_over(reading=BUSY).then(Event.SERVER_DONE), QUIET, 0, id="nothing-left"),
        pytest.param(handed_over, BUSY, 15, id="draining-busy"),
        pytest.param(lambda: recycled().then(Event.LISTENER_LEFT), QUIET, 2, id="lingering"),
        pytest.param(lambda: handed_over(reading=BUSY).then(Event.TICK, after=15), BUSY, 16, id="named"),
        pytest.param(stopping, QUIET, 3, id="stopping"),
        pytest.param(stopped, QUIET, 5, id="stopped"),
    ],
)
def test_it_wakes_when_time_is_due_next(life: type[Life], reading: Reading, at: float) -> None:
    assert life().machine.wakes_at(reading) == at
