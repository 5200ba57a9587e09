"""The warmers of one process, and those that one worker runs for all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from support import eventually
from zdlife.errors import WarmingStopped, WrongUse
from zdlife.machine.warming import WarmerRule, WarmerState, Warmth
from zdlife.process.board import Board
from zdlife.process.errands import Errands
from zdlife.process.layout import MOST_ERRANDS
from zdlife.process.warmers import Warm, Warmers, hit_rate

loops: list[asyncio.AbstractEventLoop] = []


@pytest.fixture(autouse=True)
def _loop(loop: asyncio.AbstractEventLoop) -> None:
    """Have async functions called in the module's loop."""
    loops[:] = [loop]


ANOTHER = 1
"""A process that surely lives, and is not this one."""


class Warming:
    """Warmers whose time passes with the system's, and the board of their instance."""

    def __init__(self, *, board: Board | None = None, pid: int = 0, release: str = "1") -> None:
        import os

        self.board = board or Board.anonymous()
        self.errands = Errands(self.board, pid=pid or os.getpid())
        self.warmers = Warmers(loop_of=lambda: loops[0], wake=lambda: None, release=lambda: release)

    def add(self, function: Callable[..., Any], *, name: str = "prices", **rule: Any) -> Warming:
        self.warmers.add(WarmerRule(name, **rule), function)
        return self

    def state(self, number: int = 0) -> WarmerState:
        return self.warmers.warmers[number][1]

    def turn(self) -> float:
        return self.warmers.turn(time.monotonic(), self.errands)

    def until(self, status: Warmth, *, number: int = 0) -> WarmerState:
        eventually(lambda: (self.turn(), self.state(number).status is status)[1], why=f"it is {status}")
        return self.state(number)


def test_a_warmer_runs_once_and_is_done() -> None:
    ran: list[int] = []
    found = Warming().add(lambda: ran.append(1))
    found.until(Warmth.DONE)
    found.turn()

    assert ran == [1]


def test_one_may_be_async_and_is_handed_its_warm() -> None:
    async def prices(warm: Warm) -> None:
        await asyncio.sleep(0)
        warm.advance(3, 4)

    state = Warming().add(prices).until(Warmth.DONE)

    assert (state.done, state.total) == (3, 4)


def test_its_progress_is_seen_while_it_runs() -> None:
    told, go_on = threading.Event(), threading.Event()

    def prices(warm: Warm) -> None:
        warm.advance(1, 2)
        told.set()
        go_on.wait(30)

    found = Warming().add(prices)
    found.turn()
    assert told.wait(5)

    assert (found.state().status, found.state().done, found.state().total) == (Warmth.RUNNING, 1, 2)
    go_on.set()


def test_one_that_died_half_way_runs_again_from_the_beginning(caplog: pytest.LogCaptureFixture) -> None:
    ran: list[int] = []

    def prices() -> None:
        ran.append(1)
        if len(ran) < 3:
            raise SystemExit("half way")

    state = Warming().add(prices).until(Warmth.DONE)

    assert (len(ran), state.attempts) == (3, 3)
    assert len([record for record in caplog.records if "failed and runs again" in record.getMessage()]) == 2


def test_those_of_a_lower_order_run_first() -> None:
    order: list[str] = []
    found = Warming()
    found.add(lambda: order.append("second"), name="second", order=1)
    found.add(lambda: order.append("first"), name="first", order=0)
    found.until(Warmth.DONE)

    assert order == ["first", "second"]


def test_stopping_ends_a_run_at_its_next_word_and_begins_none() -> None:
    begun, ended = threading.Event(), threading.Event()

    def prices(warm: Warm) -> None:
        begun.set()
        try:
            while True:
                warm.advance(0, 1)
                time.sleep(0.001)
        except WarmingStopped:
            ended.set()
            raise

    found = Warming().add(prices).add(lambda: pytest.fail("it began"), name="later", order=1)
    found.turn()
    assert begun.wait(5)
    found.warmers.stop(found.errands)

    assert ended.wait(5)
    assert found.turn() == float("inf")


def test_stopping_cancels_an_async_run() -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def prices() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    found = Warming().add(prices)
    found.turn()
    assert begun.wait(5)
    found.warmers.stop(found.errands)

    assert cancelled.wait(5)


def test_a_hit_rate_is_sampled_until_it_is_high_enough() -> None:
    rates = iter([0.2, (5, 10), (0, 0), 0.8])
    found = Warming().add(lambda: next(rates), minimum=0.8, every=0.01)
    state = found.until(Warmth.DONE)

    assert (state.done, state.total) == (80.0, 80.0)
    assert next(rates, None) is None


def test_a_sample_that_is_no_hit_rate_is_a_failure_that_says_what_to_return() -> None:
    state = Warming().add(lambda: 80, minimum=0.8).until(Warmth.FAILED)

    assert "Return a hit rate from 0 to 1, or (hits, lookups)" in state.why


@pytest.mark.parametrize(("value", "rate"), [(0, 0.0), (1, 1.0), (0.5, 0.5), ((1, 4), 0.25), ((0, 0), 0.0)])
def test_a_hit_rate_is_a_number_or_a_pair(value: Any, rate: float) -> None:
    assert hit_rate(value) == rate


@pytest.mark.parametrize("value", [True, None, "0.5", -0.1, 1.1, float("nan"), (1, 2, 3), ("a", "b")])
def test_anything_else_is_none(value: Any) -> None:
    with pytest.raises(WrongUse):
        hit_rate(value)


def test_two_of_one_name_are_refused_but_a_warmer_and_its_measure_may_share_one() -> None:
    found = Warming().add(lambda: None).add(lambda: 1.0, minimum=0.5)
    with pytest.raises(WrongUse, match="two warmers named 'prices'"):
        found.add(lambda: None)


def test_more_per_instance_than_the_board_has_room_for_are_refused() -> None:
    found = Warming()
    for number in range(MOST_ERRANDS):
        found.add(lambda: None, name=f"w{number}", per="instance")
    with pytest.raises(WrongUse, match="room for 16"):
        found.add(lambda: None, name="one more", per="instance")


@pytest.mark.parametrize("function", [lambda a, b: None, lambda *, needed: None])
def test_one_that_wants_more_than_its_warm_is_refused(function: Any) -> None:
    with pytest.raises(WrongUse, match="more than one argument"):
        Warming().add(function)


def test_one_with_defaults_is_called_with_none() -> None:
    seen: list[Any] = []
    Warming().add(lambda batch=100: seen.append(batch)).until(Warmth.DONE)

    assert seen == [100]


def test_one_written_in_c_is_called_with_none() -> None:
    assert Warming().add(dict).until(Warmth.DONE).attempts == 1


# Once for the whole instance.


def test_one_worker_runs_it_for_all() -> None:
    board, ran = Board.anonymous(), []
    mine = Warming(board=board).add(lambda: ran.append("mine"), per="instance")
    theirs = Warming(board=board, pid=ANOTHER).add(lambda: ran.append("theirs"), per="instance")
    mine.until(Warmth.DONE)
    theirs.until(Warmth.DONE)

    assert ran == ["mine"]


def test_while_another_runs_it_a_worker_waits() -> None:
    board, go_on = Board.anonymous(), threading.Event()
    theirs = Warming(board=board, pid=ANOTHER).add(lambda: go_on.wait(30), per="instance")
    theirs.turn()
    mine = Warming(board=board).add(lambda: pytest.fail("twice"), per="instance")

    assert mine.until(Warmth.ELSEWHERE).began is not None
    go_on.set()
    theirs.until(Warmth.DONE)
    mine.until(Warmth.DONE)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_when_the_one_that_ran_it_has_died_another_takes_over() -> None:
    import os

    board, ran = Board.anonymous(), []
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert Errands(board, pid=pid).take("warmer:prices of 1") == "ours"
    os.waitpid(pid, 0)

    Warming(board=board).add(lambda: ran.append(1), per="instance").until(Warmth.DONE)

    assert ran == [1]


def test_one_that_stops_half_way_leaves_it_to_another() -> None:
    board, go_on, ran = Board.anonymous(), threading.Event(), []
    theirs = Warming(board=board, pid=ANOTHER).add(lambda: go_on.wait(30), per="instance")
    theirs.turn()
    theirs.warmers.stop(theirs.errands)

    Warming(board=board).add(lambda: ran.append(1), per="instance").until(Warmth.DONE)

    assert ran == [1]
    go_on.set()


def test_another_release_warms_for_itself() -> None:
    board, ran = Board.anonymous(), []
    Warming(board=board, release="1").add(lambda: ran.append(1), per="instance").until(Warmth.DONE)
    Warming(board=board, release="2").add(lambda: ran.append(2), per="instance").until(Warmth.DONE)

    assert ran == [1, 2]


def test_a_board_that_is_full_of_errands_does_it_twice_rather_than_never() -> None:
    board = Board.anonymous()
    errands = Errands(board, pid=ANOTHER)
    for number in range(MOST_ERRANDS):
        errands.take(f"errand {number}")

    assert Errands(board, pid=2).take("one more") == "ours"
    errands.end("one more", 1.0)
    errands.drop("one more")
    errands.end("errand 3", 2.0)
    errands.end("errand 1", 1.0)

    assert errands.take("another") == "ours", "in place of what was done the longest ago"
    assert Errands(board, pid=2).take("another") == "another's"
    assert errands.take("errand 3") == "done"


def test_an_errand_that_nobody_took_is_not_done() -> None:
    errands = Errands(Board.anonymous(), pid=ANOTHER)
    errands.end("never taken", 1.0)

    assert errands.take("something else") == "ours"
    assert errands.take("never taken") == "ours"
