"""A server zdlife does not know, or one with nothing to take a turn from: the plain behaviour that others build on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from math import inf
from socket import socket
from time import monotonic, sleep

from zdlife.machine.budget import ServerDeadline
from zdlife.machine.phases import Event
from zdlife.process.board import process_lives
from zdlife.process.listener import is_lent, queued, stop_new_connections
from zdlife.process.seat import Seat
from zdlife.process.signals import Tap

SIBLINGS_ARE_ASKED_WITHIN = 0.5


class Alone:
    """Takes the signals in the main thread, and calls the handlers that were there before when its turn is over.

    What works everywhere: readiness goes red, everything is served through the settle, and then whatever the process
    would have done on the signal happens.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *, name: str = "unknown") -> None:
        self.name = name
        self.loop = loop
        self.tap: Tap | None = None
        self._post: Callable[[Event], None] | None = None
        self._asked_by: signal.Signals | None = None
        self._handing_over = False

    @property
    def owns_process(self) -> bool:
        return False

    @property
    def conducted(self) -> bool:
        return False

    @property
    def alone(self) -> bool:
        """Whether a signal to this process is always meant for the whole instance."""
        return True

    def take_signals(self, post: Callable[[Event], None]) -> None:
        self._post = post
        self.tap = Tap(self._receive)
        self.tap.install()

    def _receive(self, event: Event) -> None:
        if self._handing_over and self.tap is not None:
            graceful = callable(self.tap.before(signal.SIGTERM))  # A server's own; its SIGINT may mean at once.
            self.tap.call_before(signal.SIGTERM if graceful else self._asked_by or signal.SIGTERM)
        elif self._post is not None:
            if self._asked_by is None:
                self._asked_by = signal.SIGINT if event is Event.INTERRUPT else signal.SIGTERM
            self._post(event)

    @property
    def deadline(self) -> ServerDeadline | None:
        return None

    def means(self, event: Event) -> tuple[Event, ...]:
        return (event,)

    def listeners(self) -> Iterable[socket]:
        """Return the sockets the server listens on, as far as they can be known."""
        return ()

    def leave_listener(self, *, whole_instance: bool) -> None:
        if whole_instance and not self.socket_outlives():
            for listener in self.listeners():
                stop_new_connections(listener)

    def socket_outlives(self) -> bool:
        """Return whether somebody else goes on accepting from the listening socket when this instance is gone."""
        return is_lent()

    def queue_is_empty(self) -> bool:
        return self.socket_outlives() or all(queued(listener) == 0 for listener in self.listeners())

    def lingered(self) -> bool:
        return True

    @property
    def patience(self) -> float:
        return inf

    def reassure(self) -> None:
        pass

    def hand_over(self) -> None:
        """Signal this process again, so that the handler from before runs where it belongs: in the main thread."""
        if self.tap is not None and self.tap.installed:
            self._handing_over = True
            os.kill(os.getpid(), signal.SIGTERM)

    def force(self) -> None:
        self.hand_over()

    def look(self) -> tuple[Event, ...]:
        return ()


class Sibling(Alone):
    """One of several workers whose parent signals each of them in turn and says nothing else.

    Without a seat at the siblings' board it is on its own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, seat: Seat | None, name: str) -> None:
        super().__init__(loop, name=name)
        self.seat = seat
        self._parent = os.getppid()

    @property
    def owns_process(self) -> bool:
        return True

    @property
    def alone(self) -> bool:
        return self.seat is None

    def means(self, event: Event) -> tuple[Event, ...]:
        """Tell an instance that is stopped from one worker of it that is recycled.

        If all are asked within half a second it is the instance that leaves; if one is not, it goes on accepting and
        this worker need not settle.
        """
        if self.seat is None or event not in (Event.TERM, Event.INTERRUPT):
            return (event,)
        deadline = monotonic() + SIBLINGS_ARE_ASKED_WITHIN
        while monotonic() < deadline:
            others = (seat for seat in self.seat.board.seats() if seat.pid != self.seat.pid)
            if all(seat.asked or not process_lives(seat.pid) for seat in others):
                return (event,)
            sleep(0.02)
        return (Event.RELEASED,)

    def look(self) -> tuple[Event, ...]:
        """Leave when the parent is gone: nobody would ever tell this worker to."""
        return (Event.TERM,) if self.seat is not None and os.getppid() != self._parent else ()
