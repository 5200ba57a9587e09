"""The background loop: what it is handed it handles in order, and nothing stops it but its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest

from support import eventually
from zdlife.machine.phases import Effect, Event, Machine, Phase, Reading
from zdlife.machine.settle import Limits
from zdlife.process.monitor import Monitor

LIMITS = Limits(settle=0, settle_max=0, drain=60, cleanup=60, grace=600)
LEAVING = [Effect.PUBLISH, Effect.LEAVE_LISTENER, Effect.SAY_GOODBYE]


class Surroundings:
    """What a monitor is given: it keeps each effect, and may be told to fail at some."""

    def __init__(self, *, limits: Limits = LIMITS) -> None:
        self.machine = Machine(limits, 0.0)
        self.performed: list[Effect] = []
        self.happened: SimpleQueue[Event] = SimpleQueue()
        self.fails_at: Effect | None = None
        self.fails_to_read = False
        self.fails_to_mean = False
        self.means: Callable[[Event], tuple[Event, ...]] = lambda event: (event,)
        self.monitor = Monitor(self.machine, read=self.read, perform=self.perform, happening=self.happening)

    @property
    def phase(self) -> Phase:
        return self.machine.state.phase

    def read(self) -> Reading:
        if self.fails_to_read:
            raise OSError("no reading")
        return Reading()

    def perform(self, effect: Effect) -> None:
        self.performed.append(effect)
        if effect is self.fails_at:
            raise OSError("no effect")

    def happening(self, event: Event) -> tuple[Event, ...]:
        if event is not Event.TICK:
            self.happened.put(event)
        if self.fails_to_mean:
            raise OSError("no meaning")
        return self.means(event)


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@pytest.fixture
def running(around: Surroundings) -> Iterator[Surroundings]:
    """Surroundings whose monitor runs, and stops when the test ends."""
    around.monitor.start()
    yield around
    around.monitor.stop()
    eventually(lambda: not around.monitor.running)


# One step.


def test_a_step_carries_out_what_follows_in_order(around: Surroundings) -> None:
    around.monitor.step(Event.TERM)

    assert around.performed == LEAVING


def test_a_step_advances_by_all_that_its_event_means(around: Surroundings) -> None:
    around.means = lambda event: (Event.LOADED, Event.WARMED, event)
    around.monitor.step(Event.TERM)

    assert around.phase is Phase.SETTLING


def test_an_event_that_means_nothing_here_changes_nothing(around: Surroundings) -> None:
    around.means = lambda event: ()
    around.monitor.step(Event.TERM)

    assert (around.phase, around.performed) == (Phase.STARTING, [])


def test_an_event_out_of_turn_is_logged_and_the_next_is_taken(
    around: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    around.means = lambda event: (Event.WARMED, event)
    around.monitor.step(Event.TERM)

    assert around.performed == LEAVING
    assert [(record.name, record.levelname) for record in caplog.records] == [("zdlife.monitor", "ERROR")]


@pytest.mark.parametrize("effect", LEAVING, ids=lambda effect: effect.name)
def test_an_effect_that_fails_does_not_cost_those_after_it(
    around: Surroundings, effect: Effect, caplog: pytest.LogCaptureFixture
) -> None:
    around.fails_at = effect
    around.monitor.step(Event.TERM)

    assert around.performed == LEAVING
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_stop_signal_whose_meaning_cannot_be_found_out_is_taken_as_it_is(
    around: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    around.fails_to_mean = True
    around.monitor.step(Event.TERM)

    assert around.phase is Phase.DRAINING
    assert [record.levelname for record in caplog.records] == ["ERROR"]


# The thread.


def test_it_runs_from_its_start_to_its_end(around: Surroundings) -> None:
    assert not around.monitor.running
    around.monitor.start()
    assert around.monitor.running

    around.monitor.stop()

    eventually(lambda: not around.monitor.running)


def test_it_does_not_keep_the_process_alive(running: Surroundings) -> None:
    threads = [thread for thread in threading.enumerate() if thread.name == "zdlife-monitor"]

    assert threads
    assert all(thread.daemon for thread in threads)


def test_what_is_posted_is_handled_in_order(running: Surroundings) -> None:
    posted = [Event.LOADED, Event.WARMED, Event.TERM, Event.INTERRUPT]
    for event in posted:
        running.monitor.post(event)

    assert [running.happened.get(timeout=5) for _ in posted] == posted


def test_what_was_posted_before_the_end_is_still_handled(around: Surroundings) -> None:
    around.monitor.post(Event.LOADED)
    around.monitor.post(Event.WARMED)
    around.monitor.stop()
    around.monitor.start()
    eventually(lambda: not around.monitor.running)

    assert around.phase is Phase.READY


def test_time_passes_by_itself(running: Surroundings) -> None:
    for event in (Event.LOADED, Event.WARMED, Event.TERM):
        running.monitor.post(event)

    eventually(lambda: running.phase is Phase.DRAINING, why="a settle of 0 is over with the next tick")


def test_surroundings_that_cannot_be_read_do_not_end_it(
    running: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("zdlife.monitor").setLevel(logging.ERROR)
    running.fails_to_read = True
    running.monitor.post(Event.LOADED)
    eventually(lambda: caplog.records)
    running.fails_to_read = False
    running.monitor.post(Event.LOADED)

    eventually(lambda: running.phase is Phase.WARMING)
    assert running.monitor.running
