"""The checks of one process, run with a clock of the test's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from support import eventually
from zdlife.errors import WrongUse
from zdlife.machine.checks import Caution, CheckRule, CheckState, Status, colour
from zdlife.process.checker import MOST_LEAVING_THREADS, MOST_OUT, Checker

loops: list[asyncio.AbstractEventLoop] = []


@pytest.fixture(autouse=True)
def _loop(loop: asyncio.AbstractEventLoop) -> None:
    """Have async functions called in the module's loop."""
    loops[:] = [loop]


clock = [0.0]


class Turning:
    """A checker whose time passes when the test says so."""

    def __init__(self, function: Callable[[], Any], **rule: Any) -> None:
        self.woken = threading.Event()
        self.checker = Checker(loop_of=lambda: loops[0], wake=self.woken.set)
        self.rule = CheckRule("db", **rule)
        self.checker.add(self.rule, function)
        self.arrived = False

    @property
    def now(self) -> float:
        return clock[0]

    @property
    def state(self) -> CheckState:
        return self.checker.checks[0][1]

    @property
    def status(self) -> Status:
        return colour(self.rule, self.state, self.now).status

    def turn(self, seconds: float = 0.0) -> float:
        clock[0] += seconds
        return self.checker.turn(self.now, arrived=self.arrived)

    def run(self, seconds: float = 0.0) -> None:
        """Begin what is due after so many seconds, and take in how it ends."""
        before = self.state.last
        self.turn(seconds)
        eventually(lambda: self.turn() and self.state.last is not before, why="a run ends")


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have calls begin and end at the moments that the test's turns say."""
    clock[0] = 1000.0
    for module in ("calls", "checker"):
        monkeypatch.setattr(f"zdlife.process.{module}.monotonic", lambda: clock[0])


@pytest.mark.parametrize(
    ("value", "status", "says"),
    [
        (None, Status.PASS, ""),
        (True, Status.PASS, ""),
        (False, Status.FAIL, "it returned False"),
        (Caution("nearly full"), Status.WARN, "nearly full"),
        (1, Status.FAIL, "it returned int; return None or True to pass, or declare it async"),
        (b"garbage", Status.FAIL, "it returned bytes; return None or True to pass, or declare it async"),
    ],
)
def test_what_a_check_returns_is_its_result(value: Any, status: Status, says: str) -> None:
    found = Turning(lambda: value)
    found.run()

    assert (found.state.last is not None, found.status) == (True, status)
    assert colour(found.rule, found.state, found.now).why == says


def test_a_coroutine_that_nobody_awaits_is_a_failure_that_says_so() -> None:
    async def asynchronous() -> None:
        """Never run."""

    found = Turning(lambda: asynchronous())  # noqa: PLW0108  # which hides that it is to be awaited
    found.run()

    assert "declare it async" in colour(found.rule, found.state, found.now).why


def test_an_async_check_is_awaited() -> None:
    async def check() -> bool:
        await asyncio.sleep(0)
        return True

    found = Turning(check)
    found.run()

    assert found.status is Status.PASS


def test_it_is_due_again_after_its_interval_give_or_take_a_tenth() -> None:
    found = Turning(lambda: None, interval=10)
    found.run()
    pauses = []
    for _ in range(20):
        pauses.append(found.turn() - found.now)
        found.turn(pauses[-1] - 0.01)
        assert found.turn() - found.now < 0.02, "not before it is due"
        found.run(0.01)

    assert all(9.0 <= pause <= 11.0 for pause in pauses)
    assert len(set(pauses)) > 1


def test_one_that_has_never_passed_is_tried_again_each_second() -> None:
    found = Turning(lambda: False, interval=30)
    found.run()

    assert found.turn() - found.now == 1.0


def test_a_run_that_takes_too_long_is_a_failure_and_is_abandoned() -> None:
    go_on = threading.Event()
    found = Turning(lambda: go_on.wait(30), timeout=2)
    found.turn()
    assert found.turn(1.9) == 1002.0
    assert found.state.last is None

    found.turn(0.1)

    assert (found.status, found.state.results[-1].why) == (Status.FAIL, "no answer within 2 s")
    assert found.checker.out("db") == 1
    go_on.set()


def test_while_three_runs_are_out_no_fourth_begins() -> None:
    go_on, begun = threading.Event(), []

    def hangs() -> None:
        begun.append(1)
        go_on.wait(30)

    found = Turning(hangs, timeout=1, interval=1)
    for _ in range(10):
        found.turn(2.0)

    eventually(lambda: len(begun) == MOST_OUT)
    assert found.state.results[-1].why == "3 runs have not returned; no other is begun until one does"
    go_on.set()
    eventually(lambda: found.turn(2.0) and found.status is Status.PASS, why="it runs again")


def test_a_check_is_never_run_twice_at_once() -> None:
    running, most, go_on = [], [0], threading.Event()

    def check() -> None:
        running.append(1)
        most[0] = max(most[0], len(running))
        go_on.wait(30)
        running.pop()

    found = Turning(check, timeout=5, interval=5)
    for _ in range(20):
        found.turn(0.1)

    eventually(lambda: most == [1])
    go_on.set()


def test_two_of_one_name_are_refused() -> None:
    found = Turning(lambda: None)
    with pytest.raises(WrongUse, match="two checks named 'db'"):
        found.checker.add(CheckRule("db"), lambda: None)


def test_one_that_leaves_a_thread_behind_with_every_run_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()
    found = Turning(lambda: threading.Thread(target=go_on.wait, args=(30,), daemon=True).start())
    found.arrived = True
    for _ in range(MOST_LEAVING_THREADS):
        found.run(6.0)

    assert found.status is Status.WARN
    assert found.turn(1e4) == float("inf"), "and is not called any more"
    assert [record.levelname for record in caplog.records if "given up" in record.getMessage()] == ["ERROR"]
    go_on.set()


def test_one_that_ends_its_threads_is_not() -> None:
    def check() -> None:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()

    found = Turning(check)
    for _ in range(MOST_LEAVING_THREADS + 2):
        found.run(6.0)

    assert found.status is Status.PASS


def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="zdlife.checks")
    answers = iter([True, True, False, False, False, False, True, True])
    found = Turning(lambda: next(answers))
    found.arrived = True
    for _ in range(8):
        found.run(6.0)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "check db (required): pass"),
        ("WARNING", "check db (required): fail: it returned False"),
        ("INFO", "check db (required): pass"),
    ]


def test_without_threads_a_check_fails_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    found = Turning(lambda: None)
    monkeypatch.setattr(threading.Thread, "start", no_more)
    found.turn()
    found.turn()

    assert found.state.results[-1].why == "RuntimeError: can't start new thread"


def test_a_run_that_ended_too_late_is_a_failure_though_nobody_looked_in_time() -> None:
    found = Turning(lambda: clock.__setitem__(0, clock[0] + 3), timeout=2)
    found.run()

    assert found.state.results[-1].why == "no answer within 2 s"
