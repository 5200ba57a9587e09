"""What an application wants done while it leaves, by the hooks alone; `test_lifecycle.py` has them in their place."""

from __future__ import annotations

import asyncio
import threading

import pytest

from support import eventually
from zdlife.process.hooks import Hooks
from zdlife.process.inflight import InFlight


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


def stopped(hooks: Hooks, *, within: float = 5.0) -> bool:
    """Run the stop hooks and wait until they are through."""
    through = threading.Event()
    hooks.stop(within=within, then=through.set)
    return through.wait(5)


def test_without_hooks_it_is_over_at_once(hooks: Hooks) -> None:
    assert stopped(hooks)


def test_a_stop_hook_does_not_hold_up_its_caller(hooks: Hooks) -> None:
    go_on, through = threading.Event(), threading.Event()
    hooks.on_stop.append(lambda: go_on.wait(5))
    hooks.stop(within=5, then=through.set)
    assert not through.is_set()

    go_on.set()

    assert through.wait(5)


def test_an_async_hook_that_outlasts_its_time_is_given_up(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    async def for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    hooks.on_stop.append(for_ever)

    assert stopped(hooks, within=0.05)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_what_a_hook_raises_is_logged_with_its_name(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    def flush_telemetry() -> None:
        raise OSError("the collector is gone")

    hooks.on_stop.append(flush_telemetry)
    assert stopped(hooks)

    assert "flush_telemetry" in caplog.records[0].getMessage()
    assert caplog.records[0].exc_info is not None


def test_hooks_run_where_no_thread_can_be_started_any_more(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more_threads(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    done: list[str] = []
    hooks.on_stop.append(lambda: done.append("hook"))
    monkeypatch.setattr(threading.Thread, "start", no_more_threads)
    hooks.stop(within=5, then=lambda: done.append("over"))

    assert done == ["hook", "over"]


def test_a_drain_hook_is_in_flight_until_it_returns(hooks: Hooks) -> None:
    inflight, go_on = InFlight(), threading.Event()
    hooks.on_drain.append(lambda: go_on.wait(5))
    hooks.drain(inflight, within=5)

    assert len(inflight) == 1, "it is counted before anybody can look"
    go_on.set()
    eventually(lambda: len(inflight) == 0)


def test_drain_hooks_run_side_by_side(hooks: Hooks) -> None:
    together = threading.Barrier(3, timeout=5)
    for _ in range(2):
        hooks.on_drain.append(together.wait)
    hooks.drain(InFlight(), within=5)

    together.wait()


def test_a_drain_hook_that_raises_is_counted_out(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> None:
        raise ValueError("in a hook")

    inflight = InFlight()
    hooks.on_drain.append(failing)
    hooks.drain(inflight, within=5)

    eventually(lambda: caplog.records and len(inflight) == 0)
