"""granian's ASGI workers.

granian's main process signals its workers and waits for them. A worker stops the same way on SIGTERM and on SIGINT, so
zdlife takes SIGTERM and, when its turn is over, sends the worker the SIGINT it has left alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from socket import socket

from zdlife.lifecycle import Lifecycle
from zdlife.machine.phases import Event
from zdlife.process.listener import listening_sockets
from zdlife.process.seat import Seat
from zdlife.process.signals import only_here
from zdlife.servers.alone import Sibling
from zdlife.servers.spawned import begin_spawned, is_spawned, sit_down

RESPAWN_INTERVAL = "3.5"
"""granian's own default, in seconds."""


def begin(life: Lifecycle, loop: asyncio.AbstractEventLoop) -> bool:
    """Begin in a granian worker; False where this is none."""
    if "granian" not in sys.modules or not is_spawned() or threading.current_thread() is not threading.main_thread():
        return False
    life.hooks.loop = loop
    board, seat = sit_down(life, workers=_workers())
    host = Granian(loop, seat=seat, management_port=life.settings.management_port)
    begin_spawned(life, host, board=board, seat=seat)
    return True


def _workers() -> int:
    """Return how many workers granian's command line asks for; a worker is told its number, and not of how many.

    0 where a program of one's own runs granian: then the instance is ready with the workers that have a seat, and
    ZDLIFE_READY_WORKERS says how many that must be.
    """
    given = _option("workers", default="1" if "granian" in Path(sys.argv[0]).parts[-2:] else "0")
    return int(given) if given.isdigit() else 0


def _option(name: str, *, default: str) -> str:
    """Return what granian's command line, or else its environment, says of an option."""
    given = os.environ.get("GRANIAN_" + name.upper().replace("-", "_"), default)
    for word, following in pairwise([*sys.argv, ""]):
        if word.partition("=")[0] == f"--{name}":
            given = word.partition("=")[2] or following
    return given


class Granian(Sibling):
    """One granian worker process."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        seat: Seat | None,
        management_port: int | None,
        name: str = "granian",
    ) -> None:
        super().__init__(loop, seat=seat, name=name)
        self._management_port = management_port
        self._listeners: list[socket] | None = None

    @property
    def patience(self) -> float:
        """granian stops the old worker this long after it has started the new one, whether that serves or not."""
        try:
            return float(_option("respawn-interval", default=RESPAWN_INTERVAL))
        except ValueError:
            return float(RESPAWN_INTERVAL)

    def take_signals(self, post: Callable[[Event], None]) -> None:
        assert self.loop is not None
        # The loop's own handlers run in the loop, and one that is blocked would never hear of it.
        self.loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, only_here(lambda: post(Event.TERM)))

    def listeners(self) -> Iterable[socket]:
        if self._listeners is None:
            self._listeners = list(listening_sockets(but=self._management_port))
        return self._listeners

    def leave_listener(self, *, whole_instance: bool) -> None:
        super().leave_listener(whole_instance=whole_instance)
        if not whole_instance:
            self._listeners = []

    def hand_over(self) -> None:
        for listener in self._listeners or ():
            listener.close()
        self._listeners = []
        os.kill(os.getpid(), signal.SIGINT)

    def force(self) -> None:
        self.hand_over()
