"""gunicorn's workers as hosts: what its signals mean to each kind, and how each is let go.

One class a kind. What they do besides is in `zdlife.servers.gunicorn`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from errno import ECONNRESET
from math import ceil, inf
from pathlib import Path
from socket import socket
from time import monotonic
from types import FrameType
from typing import Any, Final

from zdlife.lifecycle import Lifecycle
from zdlife.machine.budget import ServerDeadline
from zdlife.machine.phases import Event
from zdlife.process.board import Board
from zdlife.process.seat import Seat
from zdlife.process.signals import only_here
from zdlife.servers.alone import Alone
from zdlife.servers.uvicorn import Uvicorn

ALL_OF_LEAVING: Final = ("settle", "drain", "cleanup")
"""What has to fit a graceful timeout that begins with the signal, where no master settles first."""


@dataclass(slots=True)
class Place:
    """This process's place in its instance: the master's board, and the seat of this worker.

    It lives in an imported module and is inherited over the fork: gunicorn executes its configuration file again at
    every reload, and what lived there would be lost.
    """

    board: Board | None = None
    seat: Seat | None = None


place = Place()


def kind_of(worker: Any) -> str:
    """Return which of gunicorn's kinds `worker` is: sync, gthread, asgi, uvicorn, or its class's name."""
    names = {cls.__name__ for cls in type(worker).__mro__}
    for name, kind in (
        ("UvicornWorker", "uvicorn"),
        ("ASGIWorker", "asgi"),
        ("ThreadWorker", "gthread"),
        ("SyncWorker", "sync"),
    ):
        if name in names:
            return kind
    return type(worker).__name__


def is_conducted(worker: Any) -> bool:
    """Return whether this worker's master settles for it: the hooks are in place, and the master lives."""
    return place.seat is not None and os.getppid() == worker.ppid


class UnderMaster:
    """What every worker of gunicorn's is, whatever runs the requests in it: one of several, below a master."""

    worker: Any

    @property
    def owns_process(self) -> bool:
        return True

    @property
    def alone(self) -> bool:
        return False

    @property
    def conducted(self) -> bool:
        return is_conducted(self.worker)

    @property
    def deadline(self) -> ServerDeadline | None:
        return ServerDeadline("graceful_timeout", self.worker.cfg.graceful_timeout, covers=ALL_OF_LEAVING)

    def reassure(self) -> None:
        """Beat as gunicorn's workers do once they serve, or the master takes a warming worker for one that hangs."""
        self.worker.notify()

    def means(self, event: Event) -> tuple[Event, ...]:
        """Return what a stop signal means to a worker whose master may be settling for it."""
        if event not in (Event.TERM, Event.INTERRUPT):
            return (event,)
        if event is Event.INTERRUPT:
            return () if self.conducted else (event,)  # From the terminal; the master has it too.
        if self.conducted and place.seat is not None and place.board is not None:
            if not place.seat.released and place.board.leaving:
                return ()  # From the process group; the master has it too, and lets go when the settle is over.
            return (Event.TERM, Event.RELEASED) if place.board.leaving else (Event.RELEASED,)
        # Before gunicorn's master stops its workers it closes the listeners; when it recycles one it keeps them.
        return (Event.RELEASED,) if _holds(self.worker.ppid, self.worker.sockets) else (Event.TERM,)


class Worker(UnderMaster, Alone):
    """A sync or gthread worker, or another with gunicorn's own signal handlers."""

    def __init__(self, worker: Any, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(loop, name=f"gunicorn {kind_of(worker)}")
        self.worker = worker
        self._let_go = False

    def take_signals(self, post: Callable[[Event], None]) -> None:
        super().take_signals(post)
        quit_at_once = signal.getsignal(signal.SIGQUIT)
        if self.tap is None or not self.tap.installed or not callable(quit_at_once):
            return

        def name_and_quit(signum: int, frame: FrameType | None) -> None:
            post(Event.QUIT)
            quit_at_once(signum, frame)

        signal.signal(signal.SIGQUIT, name_and_quit)

    def look(self) -> tuple[Event, ...]:
        """Learn from the board that the master has let this worker go: a signal may wait for what blocks the thread."""
        if self._let_go or place.seat is None or not place.seat.released:
            return ()
        self._let_go = True
        return self.means(Event.TERM)

    def listeners(self) -> Iterable[socket]:
        return () if self.conducted else [found.sock for found in self.worker.sockets if found.sock.fileno() != -1]


class GunicornSync(Worker):
    """gunicorn's sync worker.

    It reads a request without a limit in time. A client that has connected and never asks for anything would hold it
    until it is killed, so a second after the handing over such a client is dropped.
    """

    PATIENCE = 1.0

    def __init__(self, worker: Any, life: Lifecycle) -> None:
        super().__init__(worker)
        self._life = life
        self._drop_idle_at = inf
        self._dropping = False

    def hand_over(self) -> None:
        self._drop_idle_at = monotonic() + self.PATIENCE
        super().hand_over()

    def look(self) -> tuple[Event, ...]:
        if monotonic() >= self._drop_idle_at and len(self._life.inflight) == 0:
            self._drop_idle_at = inf
            self._dropping = True
            os.kill(os.getpid(), signal.SIGTERM)
        return super().look()

    def _receive(self, event: Event) -> None:
        super()._receive(event)
        if self._dropping and len(self._life.inflight) == 0 and _reads_a_request():
            # As if the client had gone: gunicorn passes that over without a word.
            raise ConnectionResetError(ECONNRESET, "nothing was asked on this connection")


def _reads_a_request() -> bool:
    """Whether the interrupted code is gunicorn's sync worker waiting for what a client has to say first."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("zdlife."):
        frame = frame.f_back
    reading = frame is not None and frame.f_globals.get("__name__") == "gunicorn.http.unreader"
    while frame is not None:
        if frame.f_globals.get("__name__") == "gunicorn.workers.sync":
            return reading and frame.f_code.co_name == "handle"
        frame = frame.f_back
    return False


class GunicornAsgi(Worker):
    """gunicorn's own ASGI worker.

    It waits for every open connection, and knows no end for one that has never sent a request: one such socket costs
    the whole graceful timeout, a SIGKILL and the lifespan's shutdown. So idle connections are closed here, by the
    worker's own keep-alive timeout.
    """

    def __init__(self, worker: Any, loop: asyncio.AbstractEventLoop, *, drain: float) -> None:
        super().__init__(worker, loop)
        self._handed_over = False
        self._given = worker.cfg.graceful_timeout
        # Below the master's own deadline, or the lifespan's shutdown is lost to SIGKILL.
        worker.cfg.set("graceful_timeout", max(1, ceil(drain)))

    @property
    def deadline(self) -> ServerDeadline | None:
        return ServerDeadline("graceful_timeout", self._given, covers=ALL_OF_LEAVING)

    def take_signals(self, post: Callable[[Event], None]) -> None:
        assert self.loop is not None
        # The loop's own handlers run in the loop, and one that is blocked would never hear of it.
        self.loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, only_here(lambda: post(Event.TERM)))
        self.loop.add_signal_handler(signal.SIGQUIT, self._quit, post)
        if self.conducted:
            self.loop.add_signal_handler(signal.SIGINT, lambda: None)

    def leave_listener(self, *, whole_instance: bool) -> None:
        super().leave_listener(whole_instance=whole_instance)
        if self.conducted:
            self._in_loop(self._close_listeners)

    def _quit(self, post: Callable[[Event], None]) -> None:
        post(Event.QUIT)
        self.worker.handle_quit_signal()

    def _close_listeners(self) -> None:
        for server in self.worker.servers:
            server.close()

    def lingered(self) -> bool:
        return not self.worker.nr_conns

    def hand_over(self) -> None:
        self._handed_over = True
        self._in_loop(self.worker.handle_exit_signal)

    def force(self) -> None:
        self._in_loop(self.worker.handle_quit_signal)

    def look(self) -> tuple[Event, ...]:
        if self._handed_over:
            self._in_loop(self._close_idle)
        elif not self.worker.alive:
            return (Event.RELEASED,)  # By itself, after its max_requests.
        return super().look()

    def _close_idle(self) -> None:
        connections = self.worker.zdlife_connections
        if not connections and self.worker.zdlife_knows_all:
            self.worker.nr_conns = 0  # gunicorn 25 forgets to count out those that it closes itself.
        for protocol in tuple(connections):
            ready = getattr(protocol, "_request_ready", None)
            waits = getattr(protocol, "_awaiting_request", ready is not None and not ready.is_set())
            if waits and not getattr(protocol, "_finishing_calls", None):
                protocol._keepalive_timeout()

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(call)


class GunicornUvicorn(UnderMaster, Uvicorn):
    """uvicorn's server inside gunicorn's UvicornWorker."""

    def __init__(self, worker: Any, server: Any, loop: asyncio.AbstractEventLoop, *, drain: float) -> None:
        super().__init__(server, loop, seat=None, drain=drain, name="gunicorn uvicorn")
        self.worker = worker

    def look(self) -> tuple[Event, ...]:
        """Leave when the master is gone, as gunicorn's own workers do; uvicorn does not look."""
        return (Event.TERM,) if os.getppid() != self.worker.ppid else super().look()

    def listeners(self) -> Iterable[socket]:
        return () if self.conducted else super().listeners()


def _holds(pid: int, sockets: Iterable[Any]) -> bool:
    """Return whether the process still has one of these sockets open; False where the system does not tell."""
    wanted = {f"socket:[{os.fstat(found.sock.fileno()).st_ino}]" for found in sockets if found.sock.fileno() != -1}
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # Closed since it was listed.
                if str(entry.readlink()) in wanted:
                    return True
    return False
