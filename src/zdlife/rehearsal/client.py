"""One HTTP exchange over one connection, and exactly how it ended.

The client is well behaved, and hard to please: it honours `Connection: close`, closes its side at once, notices before
it writes that a connection was closed while idle, and never sends anything twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import select
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Self

from zdlife.errors import MissingExtra, PlanError
from zdlife.rehearsal.result import Outcome

try:
    import h11
except ImportError as missing:
    raise MissingExtra("h11", extra="rehearse") from missing

REMEMBERED_BYTES = 65_536
IDLE_AT_MOST = 1.5
UPSTREAM = b"x-rehearsal-upstream"
"""The response header in which a balancer says which port it asked last."""
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""Errors of a connect that are the fault of the rehearsal's own machine, and no finding."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as it goes over the wire. `spread` is how long the sending of the body takes, in `pieces`."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    pieces: int = 1
    spread: float = 0.0

    def head(self, port: int) -> h11.Request:
        """Return the request's head."""
        headers = [("host", f"127.0.0.1:{port}"), *self.headers]
        if self.body or self.method not in ("GET", "HEAD"):
            headers.append(("content-length", str(len(self.body))))
        return h11.Request(method=self.method, target=self.path, headers=headers)

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body, in pieces that take `spread` seconds altogether."""
        size = max(1, -(-len(self.body) // self.pieces))
        for begin in range(0, len(self.body), size):
            if begin and self.spread:
                await asyncio.sleep(self.spread / max(1, self.pieces - 1))
            yield self.body[begin : begin + size]


@dataclass(slots=True)
class Reply:
    """What has been received of a response so far; `tail` is the last 64 KiB of its body."""

    status: int | None = None
    upstream_port: int | None = None
    size_bytes: int = 0
    tail: bytearray = field(default_factory=bytearray)

    def __str__(self) -> str:
        return "no response" if self.status is None else f"{self.status} and {self.size_bytes} bytes"


class Lost(Exception):
    """An exchange that did not end well, and what the client saw of it."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        self.outcome = outcome
        self.detail = detail
        super().__init__(f"{outcome}: {detail}")


class Connection:
    """One connection to a port of this machine, for one exchange at a time."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.port = port
        self._reader = reader
        self._writer = writer
        self._h11 = h11.Connection(our_role=h11.CLIENT)
        self._idle_since = time.monotonic()

    @classmethod
    async def open(cls, port: int) -> Self:
        """Return a new connection.

        Raises:
            Lost: nobody took it.
            PlanError: this machine has no files or ports left.
        """
        try:
            return cls(port, *await asyncio.open_connection("127.0.0.1", port))
        except ConnectionRefusedError:
            raise Lost(Outcome.REFUSED, "connection refused") from None
        except ConnectionResetError:
            raise Lost(Outcome.RESET, "reset while connecting") from None
        except TimeoutError:
            raise Lost(Outcome.TIMED_OUT, "no answer while connecting") from None
        except OSError as error:
            if error.errno in OURS:
                raise PlanError(
                    f"this machine cannot make as many connections as the load needs ({error}). Lower the rate."
                ) from None
            raise Lost(Outcome.REFUSED, f"while connecting: {error}") from None

    @property
    def reusable(self) -> bool:
        """Whether another exchange may begin: both sides want it, and the peer has not closed in the meantime.

        A connection that has been idle for longer than a second and a half is given up: servers close them after two
        (gunicorn) or more, and a request that crosses with that would be lost to no deploy.
        """
        if self._h11.our_state is not h11.IDLE or time.monotonic() - self._idle_since > IDLE_AT_MOST:
            return False
        if self._reader.at_eof() or self._reader.exception() is not None:
            return False
        socket = self._writer.get_extra_info("socket")
        if socket is None or socket.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    async def exchange(self, ask: Ask, reply: Reply) -> None:
        """Send `ask` and return once the whole response is in `reply`, which has what there is of it at any moment.

        The response is read while the body is sent: a server may answer early.

        Raises:
            Lost: there is no whole response.
        """
        receiving = asyncio.ensure_future(self._receive(reply))
        receiving.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        try:
            await self._send(ask, until=receiving)
            await receiving
        finally:
            receiving.cancel()

    def close(self) -> None:
        """Close this side at once; in the middle of an exchange, drop the connection."""
        if self._h11.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED) or self._h11.our_state is h11.IDLE:
            self._writer.close()
        else:
            self._writer.transport.abort()

    async def _send(self, ask: Ask, *, until: asyncio.Future[None]) -> None:
        """Send until all is sent, a response has come, or the connection breaks: what was received tells which."""
        with contextlib.suppress(OSError):
            self._write(ask.head(self.port))
            async for part in ask.parts():
                if until.done():
                    return
                self._write(h11.Data(data=part))
                await self._writer.drain()
            if not until.done():
                self._write(h11.EndOfMessage())
                await self._writer.drain()

    def _write(self, event: h11.Event) -> None:
        wire = self._h11.send(event)
        if wire:
            self._writer.write(wire)

    async def _receive(self, reply: Reply) -> None:
        try:
            while True:
                match event := self._h11.next_event():
                    case h11.NEED_DATA:
                        self._h11.receive_data(await self._reader.read(65_536))
                    case h11.Response():
                        reply.status = event.status_code
                        reply.upstream_port = _upstream(event)
                    case h11.Data():
                        reply.size_bytes += len(event.data)
                        reply.tail += event.data
                        del reply.tail[:-REMEMBERED_BYTES]
                    case h11.EndOfMessage():
                        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
                            self._h11.start_next_cycle()
                            self._idle_since = time.monotonic()
                        return
                    case _:
                        pass  # 100 Continue and its like
        except (h11.RemoteProtocolError, OSError) as error:
            outcome = Outcome.RESET if reply.status is None else Outcome.TRUNCATED
            why = "reset by the peer" if isinstance(error, OSError) else str(error)
            why = "closed by the peer" if "closed" in why.lower() else why  # h11 has several words for it
            raise Lost(outcome, f"{why} after {reply}") from None


def _upstream(response: h11.Response) -> int | None:
    """Return the port a balancer asked last, from its header."""
    for name, value in response.headers:
        if name == UPSTREAM and (ports := re.findall(rb"\d+$", value.strip())):
            return int(ports[0])
    return None


async def probe(port: int, path: str, *, within: float) -> Reply | None:
    """Return the answer to one GET, or None when there is none in time. Never raises for what the peer does."""
    with contextlib.suppress(Lost, TimeoutError, OSError):
        async with asyncio.timeout(within):
            connection, reply = await Connection.open(port), Reply()
            try:
                await connection.exchange(Ask("GET", path, (("connection", "close"),)), reply)
                return reply
            finally:
                connection.close()
    return None
