"""A server that zdlife does not know, by its signal handlers alone; with real signals to this very process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from zdlife.machine.phases import Event
from zdlife.servers.alone import Alone


@pytest.fixture(autouse=True)
def _the_handlers_of_the_test_run() -> Iterator[None]:
    """Put the handlers back that pytest and Python have."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def got() -> list[int]:
    """What the handlers of a server of its own got, SIGTERM the graceful one and SIGINT the quick one."""
    got: list[int] = []

    def handler(signum: int, frame: FrameType | None) -> None:
        got.append(signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, handler)
    return got


def standing(posted: list[Event]) -> Alone:
    host = Alone()
    host.take_signals(posted.append)
    return host


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_server_hears_nothing_until_it_is_told(got: list[int], signum: int) -> None:
    posted: list[Event] = []
    standing(posted)
    os.kill(os.getpid(), signum)

    assert (len(posted), got) == (1, [])


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_its_graceful_stop_begins_whatever_the_instance_was_asked_by(got: list[int], signum: int) -> None:
    host = standing([])
    os.kill(os.getpid(), signum)
    host.hand_over()

    assert got == [signal.SIGTERM]


def test_without_handlers_of_its_own_it_ends_by_the_signal_it_got() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    host = standing([])
    os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        host.hand_over()


def test_a_server_outside_the_main_thread_is_left_alone() -> None:
    Alone().hand_over()
