"""The background loop: it owns the state machine, and makes time pass for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic

from zdlife.machine.phases import Effect, Event, Machine, Reading

logger = logging.getLogger("zdlife.monitor")
BEAT = 0.25
"""Seconds between two looks around while nothing is due."""
BEAT_WHILE_LEAVING = 0.05


class Monitor:
    """One daemon thread that feeds events and time to a machine and has its effects carried out, one after another.

    `post` may be called from any thread and from a signal handler (`SimpleQueue.put` is reentrant). Nothing else
    touches the machine, so the machine needs no lock. A thread and not a task of the application's loop: at the
    deadline it can still name what blocks that loop.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        read: Callable[[], Reading],
        perform: Callable[[Effect], None],
        happening: Callable[[Event], tuple[Event, ...]],
        besides: Callable[[], float] = lambda: inf,
    ) -> None:
        self._machine = machine
        self._read = read
        self._perform = perform
        self._happening = happening
        self._besides = besides
        self._wanted_at = inf
        self._mailbox: SimpleQueue[Event | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="zdlife-monitor", daemon=True)

    def start(self) -> None:
        """Begin; once, and after the process has forked."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the thread runs in this process; a fork leaves it behind."""
        return self._thread.is_alive()

    def post(self, event: Event) -> None:
        """Hand over `event`; it is acted on in order, within moments."""
        self._mailbox.put(event)

    def stop(self) -> None:
        """Let the thread end after what was posted before."""
        self._mailbox.put(None)

    def _run(self) -> None:
        while True:
            try:
                event = self._mailbox.get(timeout=self._pause())
            except Empty:
                event = Event.TICK
            if event is None:
                return
            self.step(event)

    def step(self, event: Event) -> None:
        """Handle one event: learn what it means here, advance by that, and carry out what follows."""
        for happened in self._meaning(event):
            try:
                effects = self._machine.receive(happened, monotonic(), self._read())
            except Exception:
                logger.exception("an event could not be taken", extra={"zdlife": {"event": str(happened)}})
                continue
            for effect in effects:
                try:
                    self._perform(effect)
                except Exception:  # What follows must be done all the same: the process has to end.
                    logger.exception("an effect failed", extra={"zdlife": {"effect": effect.value}})
        try:
            self._wanted_at = self._besides()
        except Exception:
            logger.exception("the monitor's turn failed")
            self._wanted_at = inf

    def _meaning(self, event: Event) -> tuple[Event, ...]:
        try:
            return self._happening(event)
        except Exception:  # A stop signal is never lost, nor is time.
            logger.exception("an event's meaning is unknown", extra={"zdlife": {"event": str(event)}})
            return (event,)

    def _pause(self) -> float:
        beat = BEAT_WHILE_LEAVING if self._machine.state.phase.leaving else BEAT
        try:
            due = self._machine.wakes_at(self._read())
        except Exception:
            logger.exception("the surroundings cannot be read")
            return beat
        soonest = self._wanted_at if due is None else min(due, self._wanted_at)
        return min(beat, max(0.001, soonest - monotonic()))
