"""Waiting for a condition with a deadline, which is what a test does instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within: float = 5.0, every: float = 0.02, why: str = "") -> T:
    """Return the first true value of `condition`, asking again and again for `within` seconds.

    Raises:
        AssertionError: it was never true; the message has its last value, and `why`.
    """
    for value in _asked(condition, within, why):
        if value:
            return value
        time.sleep(every)
    raise AssertionError


async def eventually_async(condition: Callable[[], T], *, within: float = 5.0, every: float = 0.02, why: str = "") -> T:
    """Return the first true value of `condition` as `eventually` does, leaving the event loop free in between."""
    for value in _asked(condition, within, why):
        if value:
            return value
        await asyncio.sleep(every)
    raise AssertionError


def _asked(condition: Callable[[], T], within: float, why: str) -> Iterator[T]:
    deadline = time.monotonic() + within
    while True:
        value = condition()
        yield value
        if time.monotonic() > deadline:
            what = why or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {within:g} s: {what}; last seen: {value!r}")
