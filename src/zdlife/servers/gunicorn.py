"""gunicorn's workers: how each kind stops, and how zdlife takes its turn inside it.

With the hooks of `zdlife.gunicorn` the master settles for all its workers (`zdlife.servers.arbiter`) and a worker only
has to leave well once it is let go. Without them each worker settles by itself, between the master's SIGTERM and its
`graceful_timeout`.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import sys
import threading
from dataclasses import dataclass
from math import inf
from types import FrameType
from typing import Any

from zdlife.lifecycle import Lifecycle
from zdlife.machine.phases import Event, Phase
from zdlife.servers import lingering
from zdlife.servers.uvicorn import find_server
from zdlife.servers.workers import GunicornAsgi, GunicornSync, GunicornUvicorn, Worker, kind_of, place


@dataclass(slots=True)
class Here:
    """The gunicorn worker this process is, once it is one, and the application's lifecycle.

    gunicorn's hooks are handed a worker and no application, and the application's middleware knows no worker: each
    leaves here what the other needs.
    """

    worker: Any = None
    life: Lifecycle | None = None

    def wrapped(self, life: Lifecycle) -> None:
        """Take note of the application's lifecycle; begin at once in a worker of WSGI that is there already."""
        self.life = life
        if self.worker is None and place.board is None:
            self.worker = _worker_on_the_stack()
        if self.worker is not None:
            begin_wsgi(life, self.worker)


here = Here()


def seated(worker: Any) -> None:
    """Take the seat the master has kept for this worker; just after the fork."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    place.seat = getattr(worker, "zdlife_seat", None)
    if place.seat is not None:
        place.seat.pid = os.getpid()


def initialized(worker: Any) -> None:
    """Take zdlife's turn in a worker whose application is loaded and whose signals are set."""
    here.worker = worker
    if here.life is not None:
        begin_wsgi(here.life, worker)
    elif place.seat is not None:
        # An application without the middleware is settled for all the same.
        place.seat.publish(Phase.READY)
        place.seat.beat(inf, able=True, plain=True, release_hash=0, loop_beat=None)


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


def begin_wsgi(life: Lifecycle, worker: Any) -> None:
    """Begin in a worker that runs WSGI; one that runs ASGI begins with its loop."""
    kind = kind_of(worker)
    if life.begun or kind in ("asgi", "uvicorn"):
        return
    adapt(worker, life)
    host = GunicornSync(worker, life) if kind == "sync" else Worker(worker)
    life.begin(host, board=place.board, seat=place.seat, leader_pid=worker.ppid)
    life.loaded()
    if not host.conducted:
        atexit.register(exited, worker)
    life.wait_until_warm()


def begin_asgi(life: Lifecycle, loop: asyncio.AbstractEventLoop) -> bool:
    """Begin in a worker that runs ASGI, in its loop; False elsewhere."""
    here.wrapped(life)
    worker = here.worker
    if worker is None:
        return False
    host: Worker | GunicornUvicorn
    match kind_of(worker):
        case "asgi":
            _track_connections(worker)
            host = GunicornAsgi(worker, loop, drain=life.settings.drain)
        case "uvicorn":
            server = find_server()
            if server is None:
                return False
            _quit_at_once(life, worker, server, loop)
            host = GunicornUvicorn(worker, server, loop, drain=life.settings.drain)
        case _:
            return False
    adapt(worker, life)
    life.begin(host, board=place.board, seat=place.seat, loop=loop, leader_pid=worker.ppid)
    if not host.conducted:
        atexit.register(exited, worker)  # A quick stop leaves out the lifespan's end.
    return True


def _quit_at_once(life: Lifecycle, worker: Any, server: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Have SIGQUIT stop uvicorn's server; UvicornWorker's handler only marks gunicorn's worker, which nobody reads."""

    def quit_now() -> None:
        life.post(Event.QUIT)
        worker.alive = False
        server.should_exit = server.force_exit = True

    loop.add_signal_handler(signal.SIGQUIT, quit_now)


def _track_connections(worker: Any) -> None:
    """Have gunicorn's ASGI worker remember its open connections, of which it keeps only the number."""
    module = sys.modules[next(cls.__module__ for cls in type(worker).__mro__ if cls.__name__ == "ASGIWorker")]
    worker.zdlife_knows_all = worker.nr_conns == 0
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
    """Return the gunicorn worker that runs this code, if it runs in its main thread, where signals can be taken."""
    if threading.current_thread() is not threading.main_thread():
        return None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        owner = frame.f_locals.get("self") if frame.f_code.co_name == "init_process" else None
        if owner is not None and hasattr(owner, "ppid") and getattr(owner, "pid", None) == os.getpid():
            return owner
        frame = frame.f_back
    return None
