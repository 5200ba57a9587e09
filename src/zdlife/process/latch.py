"""Something that happens once, for threads and for event loops to wait for."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Latch:
    """Open once, and open for ever. Every method is safe from any thread; nobody waits in a thread pool."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._lock = threading.Lock()
        self._loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def is_open(self) -> bool:
        """Whether it has happened."""
        return self._opened.is_set()

    def open(self) -> None:
        """Let everybody who waits go on."""
        with self._lock:
            self._opened.set()
            waiting, self._loops = self._loops, []
        for loop, future in waiting:
            with suppress(RuntimeError):  # The loop has closed; nobody waits there any more.
                loop.call_soon_threadsafe(_resolve, future)

    def wait(self, limit: float) -> bool:
        """Wait at most `limit` seconds and return whether it has happened."""
        return self._opened.wait(limit)

    async def wait_async(self, limit: float | None = None) -> bool:
        """Wait at most `limit` seconds, or for ever, without blocking the loop, and return whether it has happened."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._opened.is_set():
                return True
            self._loops.append((loop, future))
        with suppress(TimeoutError):
            await asyncio.wait_for(future, limit)
        return self._opened.is_set()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
