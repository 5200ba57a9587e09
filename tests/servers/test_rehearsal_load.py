"""The load is an open loop: whatever becomes of one request, the next is sent at its instant."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

from zdlife.rehearsal.balancer import Direct
from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.ledger import Ledger
from zdlife.rehearsal.load import Load
from zdlife.rehearsal.plan import LoadTable, RequestTable, StreamTable
from zdlife.rehearsal.result import Kind, Outcome

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Stall:
    """A server that answers at once, or not at all while `silent`."""

    def __init__(self) -> None:
        self.silent = False
        self.ids: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.ids.append(head.split(b"x-rehearsal-id: ")[1][:6].decode())
                if not self.silent:
                    writer.write(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def put_load_on(stall: Stall, table: LoadTable, *, seconds: float) -> Ledger:
    clock = Clock()
    ledger = Ledger(clock)
    server = await asyncio.start_server(stall.serve, "127.0.0.1", 0)
    direct = Direct(clock, lag=1.0, seed=1)
    await direct.admit(server.sockets[0].getsockname()[1])
    load = Load(table, rate=table.rate, balancer=direct, ledger=ledger, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        await asyncio.sleep(seconds)
        load.stop()
    server.close()
    return ledger


def outcomes(ledger: Ledger) -> Counter[Outcome]:
    return Counter(heard.outcome for heard in ledger.heard.values())


async def test_requests_are_sent_at_the_rate_and_each_once() -> None:
    stall = Stall()
    ledger = await put_load_on(stall, LoadTable(rate=100), seconds=1.0)
    assert len(ledger.asked) == pytest.approx(100, abs=5)
    assert sorted(stall.ids) == sorted(ledger.asked)
    assert outcomes(ledger) == {Outcome.OK: len(ledger.asked)}


async def test_a_server_that_is_silent_does_not_slow_the_load_and_every_request_ends() -> None:
    stall = Stall()
    stall.silent = True
    ledger = await put_load_on(stall, LoadTable(rate=100, timeout=0.5), seconds=1.0)
    assert len(ledger.asked) == pytest.approx(100, abs=5)
    assert outcomes(ledger) == {Outcome.TIMED_OUT: len(ledger.asked)}
    assert ledger.in_progress == 0


async def test_the_planned_instants_are_evenly_spaced() -> None:
    ledger = await put_load_on(Stall(), LoadTable(rate=50), seconds=0.5)
    instants = [asked.at for asked in ledger.asked.values()]
    gaps = [after - before for before, after in itertools.pairwise(instants)]
    assert gaps == pytest.approx([0.02] * len(gaps), abs=1e-6)


async def test_a_stream_has_a_beat_of_its_own() -> None:
    table = LoadTable(rate=20, stream=StreamTable(path="/export", every=0.25), requests=(RequestTable(kind="post"),))
    ledger = await put_load_on(Stall(), table, seconds=0.6)
    kinds = Counter(asked.kind for asked in ledger.asked.values())
    assert kinds[Kind.STREAM] == 3
    assert kinds[Kind.POST] == pytest.approx(12, abs=2)


async def test_a_rehearsal_without_anybody_to_ask_is_refused() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    direct = Direct(clock, lag=1.0, seed=1)
    server = await asyncio.start_server(Stall().serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    await direct.admit(port)
    load = Load(LoadTable(rate=50), rate=50, balancer=direct, ledger=ledger, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        await asyncio.sleep(0.3)
        load.stop()
    assert outcomes(ledger) == {Outcome.REFUSED: len(ledger.asked)}
    assert {heard.port for heard in ledger.heard.values()} == {port}
