"""Whether the application's event loop still turns."""

from __future__ import annotations

import asyncio
import threading
from time import monotonic

from support import eventually
from zdlife.process.pulse import Pulse


def test_a_loop_that_turns_is_felt(loop: asyncio.AbstractEventLoop) -> None:
    pulse, now = Pulse(loop, 0.0), monotonic()
    pulse.feel(now)

    eventually(lambda: pulse.felt_at >= now)


def test_a_loop_that_is_blocked_is_asked_once(loop: asyncio.AbstractEventLoop) -> None:
    held, go_on = threading.Event(), threading.Event()
    loop.call_soon_threadsafe(lambda: (held.set(), go_on.wait(30)))
    assert held.wait(5)
    pulse = Pulse(loop, 1.0)
    for second in range(5):
        pulse.feel(2.0 + second)

    assert pulse.felt_at == 1.0
    go_on.set()
    eventually(lambda: pulse.felt_at > 1.0)


def test_a_loop_that_has_closed_is_not_stuck() -> None:
    closed = asyncio.new_event_loop()
    closed.close()
    pulse = Pulse(closed, 1.0)
    for second in range(3):
        pulse.feel(2.0 + second)

    assert pulse.felt_at == 4.0
