"""Whether the application's event loop still turns."""

from __future__ import annotations

import asyncio
from time import monotonic


class Pulse:
    """Asks one event loop again and again to run something, and knows since when it has not.

    `feel` belongs to the monitor's thread; `felt_at` is when the loop last ran, and may be read by any. One question is
    out at a time, so a loop that hangs is not filled with them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        self._loop = loop
        self._asked_at: float | None = None
        self.felt_at = now

    def feel(self, now: float) -> None:
        """Ask, unless the last question is still out."""
        if self._asked_at is None:
            self._asked_at = now
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # The loop has closed; there is nothing to be stuck any more.
                self._asked_at, self.felt_at = None, now

    def _answer(self) -> None:
        self.felt_at = monotonic()
        self._asked_at = None
