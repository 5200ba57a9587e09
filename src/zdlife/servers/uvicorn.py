"""uvicorn, single or with --workers, and its server inside gunicorn's UvicornWorker.

uvicorn takes SIGTERM and SIGINT before the lifespan starts, so at the lifespan's start its handler is there to be found
and to be stood before. Its own stop closes the listener first and says `lifespan.shutdown` last, so the settle has to
come before it. It is begun here by setting `should_exit`, not by repeating the signal: uvicorn raises again each signal
it has caught, and so ends with -15 and without its exit handlers.
"""

from __future__ import annotations

import asyncio
import atexit
import signal
from collections.abc import Callable, Iterable
from socket import socket
from typing import Any

from zdlife.lifecycle import Lifecycle
from zdlife.machine.budget import ServerDeadline
from zdlife.machine.phases import Event
from zdlife.process.seat import Seat
from zdlife.servers.alone import Sibling
from zdlife.servers.spawned import begin_spawned, is_spawned, sit_down


def find_server() -> Any:
    """Return the running `uvicorn.Server`, found by the signal handler it has set, or None."""
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return owner if type(owner).__module__.startswith("uvicorn") and hasattr(owner, "should_exit") else None


def begin(life: Lifecycle, loop: asyncio.AbstractEventLoop) -> bool:
    """Begin under uvicorn; False where there is none, or where it runs outside the main thread and takes no signals."""
    server = find_server()
    if server is None:
        return False
    life.hooks.loop = loop
    if is_spawned():
        board, seat = sit_down(life, workers=server.config.workers, stays=not server.should_exit)
        host = Uvicorn(server, loop, drain=life.settings.drain, seat=seat, name="uvicorn --workers")
        begin_spawned(life, host, board=board, seat=seat)
    else:
        life.begin(Uvicorn(server, loop, drain=life.settings.drain), loop=loop)
        atexit.register(life.finish)
    return True


class Uvicorn(Sibling):
    """One uvicorn server in this process. `seat` is its place among its siblings, if it has any."""

    def __init__(
        self,
        server: Any,
        loop: asyncio.AbstractEventLoop,
        *,
        drain: float,
        seat: Seat | None = None,
        name: str = "uvicorn",
    ) -> None:
        super().__init__(loop, seat=seat, name=name)
        self.server = server
        # Since uvicorn 0.41 with a jitter, before that without.
        self._most_requests: int | None = getattr(server, "limit_max_requests", server.config.limit_max_requests)
        self._released = False
        limit = server.config.timeout_graceful_shutdown
        self._given: float | None = limit
        # Never without a limit, and a moment longer than our own deadline, which names what blocks it.
        server.config.timeout_graceful_shutdown = drain + 0.5 if limit is None else min(limit, drain + 0.5)

    @property
    def deadline(self) -> ServerDeadline | None:
        return None if self._given is None else ServerDeadline("timeout_graceful_shutdown", self._given)

    def take_signals(self, post: Callable[[Event], None]) -> None:
        super().take_signals(post)
        # uvicorn would stop between two of its ticks; we count for it and let its connections go first.
        self.server.__dict__["limit_max_requests"] = self.server.config.limit_max_requests = None

    def listeners(self) -> Iterable[socket]:
        for server in getattr(self.server, "servers", ()):
            yield from (found for found in server.sockets if found.fileno() != -1)

    def socket_outlives(self) -> bool:
        return self.server.config.fd is not None or super().socket_outlives()

    def leave_listener(self, *, whole_instance: bool) -> None:
        if whole_instance:
            super().leave_listener(whole_instance=True)
        else:
            self._in_loop(self._close_own_listeners)

    def _close_own_listeners(self) -> None:
        for server in getattr(self.server, "servers", ()):
            server.close()

    def queue_is_empty(self) -> bool:
        return self._released or super().queue_is_empty()

    def lingered(self) -> bool:
        return not self.server.server_state.connections

    def hand_over(self) -> None:
        self._in_loop(lambda: setattr(self.server, "should_exit", True))

    def force(self) -> None:
        def quit_now() -> None:
            self.server.should_exit = self.server.force_exit = True

        self._in_loop(quit_now)

    def look(self) -> tuple[Event, ...]:
        most = self._most_requests
        if most is None or self._released or self.server.server_state.total_requests < most:
            return super().look()
        self._released = True
        return (Event.TERM if self.alone and not self.conducted else Event.RELEASED,)

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(call)
