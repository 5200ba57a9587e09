"""Requests at their planned instants, whatever becomes of the ones before: an open loop, so that no stall can hide.

A request counts from its planned instant. If this machine is late to send it, that is part of its time, and is told.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from zdlife.errors import PlanError
from zdlife.rehearsal.balancer import Balancer
from zdlife.rehearsal.client import Ask, Connection, Lost, Reply
from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.ledger import Asked, Heard, Ledger
from zdlife.rehearsal.plan import LoadTable, RequestTable, StreamTable, UploadTable
from zdlife.rehearsal.result import Kind, Outcome

REUSED = frozenset({Kind.KEEP_ALIVE, Kind.POST})
LONG = frozenset({Kind.STREAM, Kind.UPLOAD})
LONGER = 2.0
"""A stream or an upload may take this many times the timeout."""


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort of request, ready to be sent, and what the right answer to it is."""

    kind: Kind
    ask: Ask
    status: int
    contains: str | None = None
    ends_with: str | None = None

    def judge(self, reply: Reply) -> None:
        """Return if the whole response in `reply` is the right one.

        Raises:
            Lost: it is not.
        """
        if reply.status != self.status:
            raise Lost(Outcome.WRONG_STATUS, f"{reply.status} instead of {self.status}")
        if self.contains is not None and self.contains.encode() not in reply.tail:
            raise Lost(Outcome.WRONG_STATUS, f"{reply.status}, but {self.contains!r} is not in the response")
        if self.ends_with is not None and self.ends_with.encode() not in last_line(reply.tail):
            raise Lost(Outcome.TRUNCATED, f"the last line does not say {self.ends_with!r}")


def last_line(body: bytes | bytearray) -> bytes:
    """Return the last line of a body that is not empty."""
    return bytes(body).rstrip().rpartition(b"\n")[2]


def sort_of(table: RequestTable) -> Sort:
    """Return a `[[load.requests]]` of the plan, ready to be sent."""
    kind = Kind(table.kind)
    method = table.method or ("POST" if kind is Kind.POST else "GET")
    ask = Ask(method, table.path, body=(table.body or "").encode())
    if table.json_body is not None:
        body = json.dumps(table.json_body).encode()
        ask = Ask(method, table.path, (("content-type", "application/json"),), body)
    return Sort(kind, ask, table.status, table.contains)


def stream_of(table: StreamTable) -> Sort:
    """Return `[load.stream]`, ready to be sent."""
    return Sort(Kind.STREAM, Ask("GET", table.path), table.status, ends_with=table.ends_with)


def upload_of(table: UploadTable) -> Sort:
    """Return `[load.upload]`, ready to be sent."""
    headers = (("content-type", "application/octet-stream"),)
    body = b"zdlife rehearsal upload\n" * (table.size_bytes // 24 + 1)
    ask = Ask(table.method, table.path, headers, body[: table.size_bytes], table.pieces, table.seconds)
    return Sort(Kind.UPLOAD, ask, table.status, table.contains)


def draw(load: LoadTable) -> Iterator[Sort]:
    """Yield the sorts of the plan at random by their weights, without end; always the same for the same seed."""
    sorts = [sort_of(table) for table in load.requests]
    weights = [table.weight for table in load.requests]
    drawn = random.Random(load.seed)
    while True:
        yield drawn.choices(sorts, weights)[0]


@dataclass(slots=True)
class Attempt:
    """Where a request was sent, and what came back so far."""

    port: int
    reply: Reply = field(default_factory=Reply)


@asynccontextmanager
async def fresh(port: int) -> AsyncIterator[Connection]:
    """Lend a new connection to `port`, for one exchange."""
    connection = await Connection.open(port)
    try:
        yield connection
    finally:
        connection.close()


class Pool:
    """A fixed number of clients that keep their connection open from one request to the next, each taking its turn."""

    def __init__(self, size: int) -> None:
        self._free: deque[Connection | None] = deque([None] * size)

    @asynccontextmanager
    async def connection(self, port: int) -> AsyncIterator[Connection]:
        """Lend the connection of the next free client, or a new one to `port` where it has none.

        Where every client is busy, there is a new one that keeps nothing: an open loop never waits.
        """
        extra = not self._free
        kept = None if extra else self._free.popleft()
        try:
            if kept is not None and not kept.reusable:
                kept.close()
                kept = None
            if kept is None:
                kept = await Connection.open(port)
            yield kept
        finally:
            if kept is not None and (extra or not kept.reusable):
                kept.close()
                kept = None
            if not extra:
                self._free.append(kept)

    def close(self) -> None:
        """Close every connection that is kept."""
        for connection in self._free:
            if connection is not None:
                connection.close()


class Load:
    """The clients. `run` until `stop`; `straddle` for what has to be under way while an instance is told to stop."""

    def __init__(self, load: LoadTable, *, rate: float, balancer: Balancer, ledger: Ledger, clock: Clock) -> None:
        self._load = load
        self._rate = rate
        self._balancer = balancer
        self._ledger = ledger
        self._clock = clock
        self._stopped = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._pool = Pool(load.connections)
        self._long: list[tuple[Sort, float]] = []
        if load.stream is not None:
            self._long.append((stream_of(load.stream), load.stream.every))
        if load.upload is not None:
            self._long.append((upload_of(load.upload), load.upload.every))

    async def run(self) -> None:
        """Send until told to stop, and return when every request has ended.

        Raises:
            PlanError: this machine cannot make so many connections.
        """
        try:
            async with self._tasks:
                for sort, every in self._long:
                    self._tasks.create_task(self._keep_sending(itertools.repeat(sort), every=every))
                await self._keep_sending(draw(self._load), every=1 / self._rate)
        except* PlanError as errors:
            raise PlanError(str(errors.exceptions[0])) from None
        finally:
            self._pool.close()

    def stop(self) -> None:
        """Plan nothing more; what is under way goes on to its end."""
        self._stopped.set()

    def straddle(self, port: int) -> None:
        """Begin a stream and an upload on the instance at `port`, so far as the balancer can be told where."""
        for sort, _ in self._long:
            self._begin(sort, at=self._clock.now(), port=self._balancer.towards(port))

    async def _keep_sending(self, sorts: Iterator[Sort], *, every: float) -> None:
        """Begin one request every so many seconds until the load is stopped, however the others fare."""
        began = self._clock.now()
        for number, sort in enumerate(sorts):
            at = began + number * every
            if await self._stopped_by(at):
                return
            self._begin(sort, at=at)

    async def _stopped_by(self, at: float) -> bool:
        """Return whether the load is stopped, at the moment `at` or as soon as it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._clock.loop_time(at)):
                await self._stopped.wait()
        return self._stopped.is_set()

    def _begin(self, sort: Sort, *, at: float, port: int | None = None) -> None:
        """Enter one request and send it; at `port`, or wherever the balancer will have it."""
        asked = self._ledger.ask(sort.kind, at=at, method=sort.ask.method, path=sort.ask.path)
        self._tasks.create_task(self._account(asked, sort, port))

    async def _account(self, asked: Asked, sort: Sort, port: int | None) -> None:
        """Send one request, and enter how it ended."""
        sent_at = self._clock.now()
        patience = self._load.timeout * (LONGER if sort.kind in LONG else 1)
        attempt = Attempt(self._balancer.choose() if port is None else port)
        outcome, detail = Outcome.OK, ""
        try:
            async with asyncio.timeout_at(self._clock.loop_time(asked.at + patience)):
                await self._exchange(sort, asked.id, attempt)
            sort.judge(attempt.reply)
        except TimeoutError:
            outcome, detail = Outcome.TIMED_OUT, f"after {patience:g} s: {attempt.reply}"
        except Lost as lost:
            outcome, detail = lost.outcome, lost.detail
        reply = attempt.reply
        port = reply.upstream_port or attempt.port
        self._ledger.hear(asked, Heard(sent_at, self._clock.now(), outcome, reply.status, port, detail))

    async def _exchange(self, sort: Sort, id: str, attempt: Attempt) -> None:
        """Have one exchange, on a connection of the kind that the sort asks for."""
        ask = replace(sort.ask, headers=(*sort.ask.headers, ("x-rehearsal-id", id)))
        lend = self._pool.connection if sort.kind in REUSED else fresh
        async with lend(attempt.port) as connection:
            attempt.port = connection.port
            await connection.exchange(ask, attempt.reply)
