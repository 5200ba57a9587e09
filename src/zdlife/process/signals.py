"""First in line for a signal, and handing it on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from zdlife.machine.phases import Event


def only_here(call: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    """Return a signal handler that calls `call`, and in a child that inherits it does what the system would have."""
    pid = os.getpid()

    def handle(signum: int, frame: FrameType | None) -> None:
        if os.getpid() == pid:
            call()
        else:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)

    return handle


EVENTS = {signal.SIGTERM: Event.TERM, signal.SIGINT: Event.INTERRUPT}


class Tap:
    """Stands before a server's own handlers of SIGTERM and SIGINT.

    `install` must be called in the main thread. The handler posts an event and returns: it logs nothing, takes no lock,
    and calls nothing of the server's, as it may interrupt any line of Python.
    """

    def __init__(self, post: Callable[[Event], None]) -> None:
        self._post = post
        self._before: dict[int, Any] = {}
        self._pid = os.getpid()

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
            signal.signal(signum, self._receive)  # Interrupts system calls; Python repeats them (PEP 475).
        return True

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            self._post(EVENTS[signal.Signals(signum)])
        else:
            self.call_before(signum)  # A child of the application's, which has inherited this handler.

    def call_before(self, signum: int) -> None:
        """Have the handler that was there before do what it would have done; in the main thread, in a signal handler.

        A server's own handler is called and zdlife stays first in line. The system's and Python's defaults are put back
        and the signal is raised again: the process ends as it would have.
        """
        handler = self._before.get(signum)
        if callable(handler) and handler is not signal.default_int_handler:
            handler(signum, None)
            return
        self.remove()
        signal.raise_signal(signum)

    def remove(self) -> None:
        """Put both handlers back that were there before; in the main thread."""
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._before = {}
