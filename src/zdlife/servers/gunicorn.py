"""gunicorn's workers: how each kind stops, and how zdlife takes its turn inside it.

With the hooks of `zdlife.gunicorn` the master settles for all its workers (`zdlife.servers.arbiter`) and a worker only
has to leave well once it is let go. Without them each worker settles by itself, between the master's SIGTERM and its
`graceful_timeout`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from socket import socket
from types import FrameType
from typing import Any

from zdlife.lifecycle import Lifecycle
from zdlife.machine.phases import Event
from zdlife.process.board import Board, Seat
from zdlife.servers import lingering
from zdlife.servers.alone import Alone
from zdlife.servers.uvicorn import Uvicorn, find_server

logger = logging.getLogger("zdlife.servers")


@dataclass(slots=True)
class Here:
    """What this process knows of the gunicorn around it.

    It lives in an imported module, since gunicorn executes the configuration file again at every reload, and it is
    inherited over the fork. `life` is the application's; gunicorn's hooks are handed a worker and no application.
    """

    board: Board | None = None
    seat: Seat | None = None
    worker: Any = None
    life: Lifecycle | None = None

    def wrapped(self, life: Lifecycle) -> None:
        """Take note of the application's lifecycle; begin at once if the worker is there already."""
        self.life = life
        if self.worker is None and self.board is None:
            worker = _worker_on_the_stack()
            if worker is not None and _handles_signals(worker):
                self.worker = worker
                adapt(worker, life)
        if self.worker is not None:
            begin_wsgi(life, self.worker)


here = Here()


def seated(worker: Any) -> None:
    """Take the seat the master has kept for this worker; just after the fork."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    here.seat = getattr(worker, "zdlife_seat", None)
    if here.seat is not None:
        here.seat.pid = os.getpid()


def initialized(worker: Any) -> None:
    """Take zdlife's turn in a worker whose application is loaded and whose signals are set."""
    here.worker = worker
    if here.life is not None:
        adapt(worker, here.life)
        begin_wsgi(here.life, worker)


def exited(worker: Any) -> None:
    """Clean up, and leave word for the master; in the worker, as its last act."""
    if here.life is not None and here.life.begun and worker.pid == os.getpid():
        here.life.finish()
        lingering.wait()


def adapt(worker: Any, life: Lifecycle) -> None:
    """Close the traps of this kind of worker that are open whoever settles."""
    lingering.close_in_background()
    before = worker.cfg.pre_request

    def pre_request(worker: Any, request: Any) -> None:
        before(worker, request)
        # gunicorn drops the application's own Connection header, a hop-by-hop one (http/wsgi.py).
        if life.leaving:
            request.must_close = True

    worker.cfg.set("pre_request", pre_request)


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


def begin_wsgi(life: Lifecycle, worker: Any) -> None:
    """Begin in a worker that runs WSGI, or prepare one that runs ASGI for its loop."""
    match kind_of(worker):
        case "asgi":
            _track_connections(worker)
        case "uvicorn":
            _quit_at_once(worker)
        case _ if not life.begun:
            life.begin(Worker(worker), board=here.board, seat=here.seat, leader_pid=worker.ppid)
            life.loaded()
        case _:
            pass


def begin_asgi(life: Lifecycle, loop: asyncio.AbstractEventLoop) -> bool:
    """Begin in a worker that runs ASGI, in its loop; False elsewhere."""
    worker = here.worker
    if worker is None:
        return False
    host: Worker | GunicornUvicorn
    match kind_of(worker):
        case "asgi":
            host = GunicornAsgi(worker, loop, drain=life.settings.drain)
        case "uvicorn":
            server = find_server()
            if server is None:
                return False
            host = GunicornUvicorn(worker, server, loop, drain=life.settings.drain)
        case _:
            return False
    life.begin(host, board=here.board, seat=here.seat, loop=loop, leader_pid=worker.ppid)
    return True


def means_under_master(event: Event, worker: Any) -> tuple[Event, ...]:
    """Return what a stop signal means to a worker whose master may be settling for it."""
    conducted = here.seat is not None and here.board is not None
    if event not in (Event.TERM, Event.INTERRUPT):
        return (event,)
    if event is Event.INTERRUPT:
        return () if conducted else (event,)  # From the terminal; the master has it too.
    if here.seat is not None and here.board is not None:
        if not here.seat.released and here.board.leaving:
            return ()  # From the process group; the master has it too, and lets go when the settle is over.
        return (Event.TERM, Event.RELEASED) if here.board.leaving else (Event.RELEASED,)
    # Before gunicorn's master stops its workers it closes the listeners; when it recycles one it keeps them.
    return (Event.RELEASED,) if _holds(worker.ppid, worker.sockets) else (Event.TERM,)


class Worker(Alone):
    """A sync or gthread worker, or another with gunicorn's own signal handlers."""

    def __init__(self, worker: Any, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(loop, name=f"gunicorn {kind_of(worker)}", conducted=here.seat is not None)
        self.worker = worker

    @property
    def alone(self) -> bool:
        return False

    def means(self, event: Event) -> tuple[Event, ...]:
        return means_under_master(event, self.worker)

    def listeners(self) -> Iterable[socket]:
        return () if self.conducted else [found.sock for found in self.worker.sockets if found.sock.fileno() != -1]


class GunicornAsgi(Worker):
    """gunicorn's own ASGI worker.

    It waits for every open connection, and knows no end for one that has never sent a request: one such socket costs
    the whole graceful timeout, a SIGKILL and the lifespan's shutdown. So idle connections are closed here, by the
    worker's own keep-alive timeout.
    """

    def __init__(self, worker: Any, loop: asyncio.AbstractEventLoop, *, drain: float) -> None:
        super().__init__(worker, loop)
        self._handed_over = False
        # Below the master's own deadline, or the lifespan's shutdown is lost to SIGKILL.
        worker.cfg.set("graceful_timeout", max(1, ceil(drain)))

    def take_signals(self, post: Callable[[Event], None]) -> None:
        assert self.loop is not None
        self.loop.add_signal_handler(signal.SIGTERM, post, Event.TERM)
        if self.conducted:
            self.loop.add_signal_handler(signal.SIGINT, lambda: None)

    def leave_listener(self, *, whole_instance: bool) -> None:
        super().leave_listener(whole_instance=whole_instance)
        if self.conducted:
            self._in_loop(self._close_listeners)

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

    def look(self) -> Event | None:
        if self._handed_over:
            self._in_loop(self._close_idle)
        return None

    def _close_idle(self) -> None:
        for protocol in tuple(self.worker.zdlife_connections):
            ready = getattr(protocol, "_request_ready", None)
            waits = getattr(protocol, "_awaiting_request", ready is not None and not ready.is_set())
            if waits and not getattr(protocol, "_finishing_calls", None):
                protocol._keepalive_timeout()

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(call)


class GunicornUvicorn(Uvicorn):
    """uvicorn's server inside gunicorn's UvicornWorker."""

    def __init__(self, worker: Any, server: Any, loop: asyncio.AbstractEventLoop, *, drain: float) -> None:
        super().__init__(server, loop, drain=drain, name="gunicorn uvicorn", conducted=here.seat is not None)
        self.worker = worker

    @property
    def alone(self) -> bool:
        return False

    def means(self, event: Event) -> tuple[Event, ...]:
        return means_under_master(event, self.worker)

    def _receive(self, event: Event) -> None:
        if event is Event.INTERRUPT and self.conducted:
            return  # The master has it too.
        super()._receive(event)

    def listeners(self) -> Iterable[socket]:
        return () if self.conducted else super().listeners()


def _quit_at_once(worker: Any) -> None:
    """Have SIGQUIT stop uvicorn's server; UvicornWorker's handler only marks gunicorn's worker, which nobody reads."""

    def handle_exit(signum: int, frame: Any) -> None:
        worker.alive = False
        server = find_server() or (here.life and getattr(here.life.host, "server", None))
        if server:
            server.should_exit = server.force_exit = True

    worker.handle_exit = handle_exit


def _track_connections(worker: Any) -> None:
    """Have gunicorn's ASGI worker remember its open connections, of which it keeps only the number."""
    module = sys.modules[next(cls.__module__ for cls in type(worker).__mro__ if cls.__name__ == "ASGIWorker")]
    worker.zdlife_connections = connections = set[Any]()
    original: Any = module.__dict__["ASGIProtocol"]
    if getattr(original, "zdlife", False):
        return

    class Tracked(original):  # type: ignore[misc]  # gunicorn's class, known at run time
        zdlife = True

        def connection_made(self, transport: Any) -> None:
            connections.add(self)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.discard(self)
            super().connection_lost(exc)

    module.__dict__["ASGIProtocol"] = Tracked


def _worker_on_the_stack() -> Any:
    """Return the gunicorn worker that is importing the application just now, or None."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        owner = frame.f_locals.get("self") if frame.f_code.co_name in ("init_process", "load_wsgi") else None
        if owner is not None and hasattr(owner, "ppid") and hasattr(owner, "cfg"):
            return owner
        frame = frame.f_back
    return None


def _handles_signals(worker: Any) -> bool:
    """Whether `worker` runs in this process's main thread, so that its signals can be taken."""
    return worker.pid == os.getpid() and threading.current_thread() is threading.main_thread()


def _holds(pid: int, sockets: Iterable[Any]) -> bool:
    """Return whether the process still has one of these sockets open; False where the system does not tell."""
    wanted = {f"socket:[{os.fstat(found.sock.fileno()).st_ino}]" for found in sockets if found.sock.fileno() != -1}
    try:
        links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return bool(wanted.intersection(links))
