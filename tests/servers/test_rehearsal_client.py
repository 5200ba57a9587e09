"""The rehearsal's client against peers that do exactly what they are told, right or wrong."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress

import pytest

from zdlife.rehearsal.client import Ask, Connection, Lost, Reply, probe
from zdlife.rehearsal.load import Pool, fresh
from zdlife.rehearsal.result import Outcome

pytestmark = pytest.mark.anyio
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = Ask("GET", "/")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def peer(script: Script) -> AsyncIterator[int]:
    """Serve each connection by the script, and yield the port. The clients are to close their side."""
    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await script(reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
    await asyncio.gather(*serving)


def answering(*parts: bytes, requests: int = 1) -> Script:
    """Return a script that answers so many requests without a body, each with all the parts."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(requests):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()

    return script


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def outcome(port: int, ask: Ask = GET) -> tuple[Outcome, Reply]:
    reply = Reply()
    try:
        async with asyncio.timeout(5), fresh(port) as connection:
            await connection.exchange(ask, reply)
    except Lost as lost:
        return lost.outcome, reply
    return Outcome.OK, reply


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([OK], Outcome.OK, id="whole"),
        pytest.param([b"HTTP/1.1 103 Early Hints\r\n\r\n", OK], Outcome.OK, id="whole after an interim response"),
        pytest.param([b"HTTP/1.0 200 OK\r\n\r\n", b"a", b"b"], Outcome.OK, id="to the end of the connection"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n"],
            Outcome.OK,
            id="whole in chunks",
        ),
        pytest.param([], Outcome.RESET, id="nothing"),
        pytest.param([b"HTTP/1.1 20"], Outcome.RESET, id="half a head"),
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"], Outcome.TRUNCATED, id="half a body"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"],
            Outcome.TRUNCATED,
            id="no last chunk",
        ),
    ],
)
async def test_a_response_is_whole_or_it_is_not(parts: list[bytes], expected: Outcome) -> None:
    async with peer(answering(*parts)) as port:
        got, reply = await outcome(port)
    assert got is expected
    assert expected is not Outcome.OK or bytes(reply.tail) in (b"ok", b"ab")


async def test_nobody_there_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert (await outcome(taken.getsockname()[1]))[0] is Outcome.REFUSED


async def test_a_reset_before_a_response_is_a_reset_and_within_one_a_truncation() -> None:
    async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reset(writer)

    async def within(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
        await writer.drain()
        await reader.read(1)
        reset(writer)

    async with peer(at_once) as port:
        assert (await outcome(port))[0] is Outcome.RESET
    async with peer(within) as port:
        reply = Reply()
        connection = await Connection.open(port)
        asking = asyncio.create_task(connection.exchange(GET, reply))
        while reply.size_bytes < 2:
            await asyncio.sleep(0.01)
        connection._writer.write(b"x")
        with pytest.raises(Lost) as lost:
            await asking
        connection.close()
        assert lost.value.outcome is Outcome.TRUNCATED


async def test_what_there_is_of_a_response_is_known_when_it_takes_too_long() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
        await reader.read()
        await reader.read()

    reply = Reply()
    async with peer(half) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), fresh(port) as connection:
                await connection.exchange(GET, reply)
    assert (reply.status, reply.size_bytes) == (200, 2)


async def test_a_body_is_sent_in_pieces_over_its_time() -> None:
    received: list[bytes] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while sum(map(len, received)) < 10:
            received.append(await reader.read(100))
        writer.write(OK)

    began = asyncio.get_running_loop().time()
    async with peer(collect) as port:
        got, _ = await outcome(port, Ask("POST", "/", body=b"0123456789", pieces=5, spread=0.2))
    assert got is Outcome.OK
    assert b"".join(received) == b"0123456789"
    assert len(received) == 5
    assert asyncio.get_running_loop().time() - began >= 0.19


async def test_an_answer_before_the_end_of_the_upload_is_the_answer() -> None:
    early = b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
    async with peer(answering(early)) as port:
        got, reply = await outcome(port, Ask("POST", "/", body=b"0" * 1000, pieces=100, spread=4.0))
    assert (got, reply.status) == (Outcome.OK, 503)


async def test_the_port_that_a_balancer_asked_last_is_read() -> None:
    head = b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\nx-rehearsal-upstream: 127.0.0.1:8001, 127.0.0.1:8002\r\n\r\n"
    async with peer(answering(head)) as port:
        assert (await outcome(port))[1].upstream_port == 8002


async def test_a_probe_of_nobody_is_none() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await probe(taken.getsockname()[1], "/", within=1.0) is None


async def exchanges(pool: Pool, port: int, number: int) -> list[int]:
    """Return the client's own port in each of a number of exchanges, one after the other."""
    seen = []
    for _ in range(number):
        async with pool.connection(port) as connection:
            await connection.exchange(GET, Reply())
            seen.append(connection._writer.get_extra_info("sockname")[1])
    return seen


async def test_the_clients_of_a_pool_take_turns_and_keep_their_connection() -> None:
    async with peer(answering(OK, requests=100)) as port:
        with closing(Pool(2)) as pool:
            seen = await exchanges(pool, port, 6)
    assert seen[:2] * 3 == seen
    assert len({*seen}) == 2


async def test_connection_close_is_honoured() -> None:
    last = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    async with peer(answering(last, requests=100)) as port:
        with closing(Pool(1)) as pool:
            assert len({*await exchanges(pool, port, 3)}) == 3


async def test_a_connection_that_was_closed_while_idle_is_not_written_to() -> None:
    async with peer(answering(OK)) as port:
        with closing(Pool(1)) as pool:
            assert len({*await exchanges(pool, port, 3)}) == 3


async def test_a_connection_that_has_been_idle_for_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zdlife.rehearsal.client.IDLE_AT_MOST", -1.0)
    async with peer(answering(OK, requests=100)) as port:
        with closing(Pool(1)) as pool:
            assert len({*await exchanges(pool, port, 3)}) == 3


async def test_where_every_client_is_busy_there_is_one_more() -> None:
    pool = Pool(1)
    async with peer(answering(OK, requests=100)) as port:
        async with pool.connection(port) as one, pool.connection(port) as two:
            assert one is not two
        pool.close()


async def test_a_request_that_is_lost_on_a_kept_connection_is_lost() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")

    pool = Pool(1)
    async with peer(once) as port:
        await exchanges(pool, port, 1)
        with pytest.raises(Lost) as lost:
            await exchanges(pool, port, 1)
    assert lost.value.outcome is Outcome.RESET
