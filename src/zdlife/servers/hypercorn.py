"""hypercorn, as far as its command line lets an application.

With `--workers 0` hypercorn handles the signals in its own loop, and zdlife takes SIGTERM as it does in granian. With
workers, the parent sets an event that each worker polls, and terminates all workers as soon as one has ended; zdlife
stands before that event and before the SIGTERM that follows it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from math import inf
from types import FrameType
from typing import Any

from zdlife.lifecycle import Lifecycle
from zdlife.machine.phases import Event
from zdlife.process.seat import Seat
from zdlife.process.signals import only_here
from zdlife.servers.granian import Granian
from zdlife.servers.spawned import begin_spawned, is_spawned, sit_down


def catch_shutdown_event(life: Lifecycle) -> None:
    """Find the event that the parent sets, where the application is imported by a worker of hypercorn's."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "hypercorn.asyncio.run" and "shutdown_event" in frame.f_locals:
            event = frame.f_locals["shutdown_event"]
            if event is not None:
                _events[id(life)] = Gate(event, workers=frame.f_locals["config"].workers)
            return
        frame = frame.f_back


_events: dict[int, Gate] = {}
"""The event found while the application was being imported, until its loop starts moments later in the same process."""


def begin(life: Lifecycle, loop: asyncio.AbstractEventLoop) -> bool:
    """Begin under hypercorn; False where there is none."""
    if "hypercorn" not in sys.modules or threading.current_thread() is not threading.main_thread():
        return False
    life.hooks.loop = loop
    gate, port = _events.pop(id(life), None), life.settings.management_port
    if is_spawned():
        board, seat = sit_down(life, workers=0 if gate is None else gate.workers)
        begin_spawned(life, Hypercorn(loop, gate, seat=seat, management_port=port), board=board, seat=seat)
    else:
        life.begin(Hypercorn(loop, gate, seat=None, management_port=port), loop=loop)
    return True


class Gate:
    """Stands before hypercorn's shutdown event: it reports the event to zdlife, and to hypercorn once it is opened."""

    def __init__(self, event: Any, *, workers: int) -> None:
        self.workers = workers
        self._is_set: Callable[[], bool] = event.is_set
        self._opened = False
        self._told = False
        self.post: Callable[[Event], None] | None = None
        event.is_set = self.is_set

    def is_set(self) -> bool:
        """Return whether hypercorn may stop; called by its worker ten times a second."""
        if self.post is None:  # The lifecycle has not begun here, and never may: a WSGI application, or no lifespan.
            return self._is_set()
        if self._is_set() and not self._told:
            self._told = True
            self.post(Event.TERM)
        return self._opened

    def open(self) -> None:
        """Let hypercorn stop."""
        self._opened = True


class Hypercorn(Granian):
    """One hypercorn worker, or its only process."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, gate: Gate | None, *, seat: Seat | None, management_port: int | None
    ) -> None:
        super().__init__(loop, seat=seat, management_port=management_port, name="hypercorn")
        self._gate = gate

    @property
    def patience(self) -> float:
        return inf  # hypercorn replaces no worker.

    def take_signals(self, post: Callable[[Event], None]) -> None:
        super().take_signals(post)
        if self._gate is not None:
            self._gate.post = post
            signal.signal(signal.SIGINT, only_here(lambda: post(Event.INTERRUPT)))

    def hand_over(self) -> None:
        if self._gate is None:
            super().hand_over()
        else:
            self._gate.open()
