"""WebSockets that are open while an instance is told to stop, and the code each of them was closed with."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from zdlife.errors import MissingExtra
from zdlife.rehearsal.plan import WebSocketTable

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake
except ImportError as missing:
    raise MissingExtra("websockets", extra="rehearse") from missing

OPENED_WITHIN = 5.0
NOT_OPENED = "not opened"


class Sockets:
    """WebSockets of one run. `codes` counts how they ended: "1012", "1006" for no goodbye at all, or "not opened"."""

    def __init__(self, table: WebSocketTable | None) -> None:
        self._table = table
        self._reading: set[asyncio.Task[None]] = set()
        self.codes: Counter[str] = Counter()

    async def open(self, port: int) -> None:
        """Open as many as the plan wants at `port`, all at once, and listen to each until it is closed."""
        if self._table is not None:
            url = f"ws://127.0.0.1:{port}{self._table.path}"
            await asyncio.gather(*(self._open(url) for _ in range(self._table.count)))

    async def finish(self, *, within: float) -> None:
        """Wait for the servers to close them; whatever is open after that counts as such."""
        if self._reading:
            _, open_still = await asyncio.wait(self._reading, timeout=within)
            for task in open_still:
                self.codes["open at the end"] += 1
                task.cancel()

    async def _open(self, url: str) -> None:
        try:
            socket = await connect(url, proxy=None, ping_interval=None, open_timeout=OPENED_WITHIN, close_timeout=1.0)
        except (OSError, TimeoutError, InvalidHandshake, EOFError):
            self.codes[NOT_OPENED] += 1
            return
        self._reading.add(asyncio.create_task(self._read(socket)))

    async def _read(self, socket: ClientConnection) -> None:
        try:
            with suppress(ConnectionClosed):
                while True:
                    await socket.recv()
        finally:
            socket.transport.abort()
        self.codes[str(socket.close_code)] += 1
