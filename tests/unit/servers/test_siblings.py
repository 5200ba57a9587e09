"""How one of several workers tells an instance that is stopped from itself being recycled."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from zdlife.machine.phases import Event
from zdlife.process.board import Board
from zdlife.process.seat import Seat
from zdlife.servers import alone
from zdlife.servers.alone import Alone, Sibling


@pytest.fixture
def board() -> Board:
    return Board.anonymous()


@pytest.fixture
def own(board: Board) -> Seat:
    """This process's seat; it got a stop signal."""
    seat = claimed(board, os.getpid())
    seat.ask()
    return seat


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(autouse=True)
def _a_short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "SIBLINGS_ARE_ASKED_WITHIN", 0.1)


def claimed(board: Board, pid: int) -> Seat:
    seat = board.claim(pid)
    assert seat is not None
    return seat


def gone() -> int:
    """Return the id of a process that there was."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return pid


@pytest.mark.parametrize("signal", [Event.TERM, Event.INTERRUPT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_that_everybody_gets_is_for_the_instance(
    board: Board, own: Seat, loop: asyncio.AbstractEventLoop, signal: Event
) -> None:
    claimed(board, 1).ask()

    assert Sibling(loop, seat=own, name="a").means(signal) == (signal,)


def test_a_signal_that_the_others_get_a_moment_later_is_for_the_instance(
    board: Board, own: Seat, loop: asyncio.AbstractEventLoop
) -> None:
    sibling = claimed(board, 1)
    soon = threading.Timer(0.02, sibling.ask)
    soon.start()

    assert Sibling(loop, seat=own, name="a").means(Event.TERM) == (Event.TERM,)
    soon.join()


def test_a_signal_that_one_alone_gets_recycles_it(board: Board, own: Seat, loop: asyncio.AbstractEventLoop) -> None:
    claimed(board, 1)

    assert Sibling(loop, seat=own, name="a").means(Event.TERM) == (Event.RELEASED,)


def test_the_only_worker_is_the_instance(own: Seat, loop: asyncio.AbstractEventLoop) -> None:
    assert Sibling(loop, seat=own, name="a").means(Event.TERM) == (Event.TERM,)


def test_a_dead_sibling_is_not_waited_for(board: Board, own: Seat, loop: asyncio.AbstractEventLoop) -> None:
    claimed(board, gone())

    assert Sibling(loop, seat=own, name="a").means(Event.TERM) == (Event.TERM,)


def test_without_a_seat_every_signal_is_for_the_instance(loop: asyncio.AbstractEventLoop) -> None:
    sibling = Sibling(loop, seat=None, name="a")

    assert (sibling.alone, sibling.means(Event.TERM)) == (True, (Event.TERM,))


def test_other_events_mean_what_they_say(board: Board, own: Seat, loop: asyncio.AbstractEventLoop) -> None:
    claimed(board, 1)

    assert Sibling(loop, seat=own, name="a").means(Event.SERVER_DONE) == (Event.SERVER_DONE,)


def test_a_worker_whose_parent_lives_decides_nothing_by_itself(own: Seat, loop: asyncio.AbstractEventLoop) -> None:
    assert Sibling(loop, seat=own, name="a").look() == ()


def test_a_worker_whose_parent_is_gone_leaves(own: Seat, loop: asyncio.AbstractEventLoop) -> None:
    sibling = Sibling(loop, seat=own, name="a")
    sibling._parent = 1 if os.getppid() != 1 else 2

    assert sibling.look() == (Event.TERM,)


def test_a_server_that_nobody_knows_owns_no_process_and_keeps_no_queue() -> None:
    host = Alone()

    assert (host.owns_process, host.conducted, host.alone) == (False, False, True)
    assert (host.queue_is_empty(), host.lingered(), host.look(), host.deadline) == (True, True, (), None)
