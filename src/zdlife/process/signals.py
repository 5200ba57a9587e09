"""First in line for a signal, and handing it on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from zdlife.machine.phases import Event

EVENTS = {signal.SIGTERM: Event.TERM, signal.SIGINT: Event.INTERRUPT}


class Tap:
    """Stands before a server's own handlers of SIGTERM and SIGINT.

    `install` must be called in the main thread. The handler posts an event and returns: it logs nothing, takes no lock,
    and calls nothing of the server's, as it may interrupt any line of Python.
    """

    def __init__(self, post: Callable[[Event], None]) -> None:
        self._post = post
        self._before: dict[int, Any] = {}

    @property
    def installed(self) -> bool:
        """Whether zdlife stands first in line."""
        return bool(self._before)

    def before(self, signum: int) -> Any:
        """Return the handler that was there before, or None."""
        return self._before.get(signum)

    def install(self) -> bool:
        """Take both signals; return False, changing nothing, outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return False
        for signum in EVENTS:
            self._before[signum] = signal.getsignal(signum)
        for signum in EVENTS:
            signal.signal(signum, self._receive)
            signal.siginterrupt(signum, False)
        return True

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self._post(EVENTS[signal.Signals(signum)])

    def call_before(self, signum: int) -> None:
        """Call the handler that was there before, as the signal would have; for the main thread."""
        handler = self._before.get(signum)
        if callable(handler):
            handler(signum, None)
