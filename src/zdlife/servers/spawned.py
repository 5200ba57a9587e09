"""Workers that are spawned, not forked: each finds its siblings through a file named after their parent."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import re
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path
from time import monotonic

from zdlife.errors import BoardError
from zdlife.lifecycle import Lifecycle
from zdlife.process.board import Board, process_lives
from zdlife.process.host import Host
from zdlife.process.layout import SEATS
from zdlife.process.listener import accept_new_connections, listening_sockets
from zdlife.process.seat import Seat

logger = logging.getLogger("zdlife.servers")
_NAME = re.compile(r"zdlife-\d+-(\d+)-\d+\.board")


def is_spawned() -> bool:
    """Return whether multiprocessing started this process."""
    return multiprocessing.parent_process() is not None


def sit_down(life: Lifecycle, *, workers: int, stays: bool = True) -> tuple[Board, Seat | None]:
    """Return the board of this process's siblings, of which there will be so many (0: nobody knows), and a seat at it.

    Unless it `stays`, its parent has asked this worker, too, to stop while it was starting.

    Where there is no room for the page, a page of this process's own: it then settles for itself alone, which one
    warning says.
    """
    folder = life.settings.board_dir or Path(tempfile.gettempdir())
    parent = os.getppid()
    path = folder / f"zdlife-{os.geteuid()}-{parent}-{_started(parent)}.board"
    try:
        _sweep(folder)
        board = Board.at(path)
        board.expect(workers)
    except BoardError as error:
        logger.warning("workers of this instance do not see each other: %s", error)
        board = Board.anonymous()
    for seat in board.seats():
        pid = seat.pid
        if not process_lives(pid):
            report_lost(board, seat, pid=pid)
    own = board.claim(os.getpid())
    if stays:
        _take_back(life, board)
    if own is None:
        logger.warning("an instance has room for %d workers, and this is one more: it settles for itself", SEATS)
        return Board.anonymous(), None
    return board, own


def _take_back(life: Lifecycle, board: Board) -> None:
    """Undo what a worker has done that took itself for the last one: this one is here in its place."""
    if board.leaving:
        board.revive(monotonic())
    for listener in listening_sockets(but=life.settings.management_port):
        accept_new_connections(listener)
        listener.close()


def report_lost(board: Board, seat: Seat, *, pid: int) -> None:
    """Fold the seat of a worker that died without leaving, and name what it held."""
    remains = board.fold(seat, pid=pid, lost=True)
    if remains is None:
        return
    held = ", ".join(" ".join(filter(None, (row["id"], row["method"], row["route"]))) for row in remains.in_flight)
    logger.error(
        "worker %d died with %s in flight",
        remains.pid,
        held or "nothing",
        extra={"zdlife": {"pid": remains.pid, "in_flight": list(remains.in_flight)}},
    )


def begin_spawned(life: Lifecycle, host: Host, *, board: Board, seat: Seat | None) -> None:
    """Begin as one of several workers; the exit handlers of a multiprocessing child are multiprocessing's own."""
    life.begin(host, board=board, seat=seat, loop=life.hooks.loop, leader_pid=os.getppid())
    Finalize(None, life.finish, exitpriority=100)


def _started(pid: int) -> str:
    """Return when the process started, in the kernel's ticks, so that a process id used again is another parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"


def _sweep(folder: Path) -> None:
    """Remove the pages whose parents are gone: their workers were killed and could not."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"zdlife-{os.geteuid()}-*.board"):
            found = _NAME.fullmatch(path.name)
            if found is not None and not process_lives(int(found[1])):
                path.unlink(missing_ok=True)
