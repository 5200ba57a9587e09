"""A dependency that misbehaves on command: it speaks the little of Redis' protocol that a client needs for a PING.

    python -m benchmarks.readiness.dependency PORT...

Each line of its input names a behaviour; it takes it on for all its ports at once and answers with one line of JSON:
since when (monotonic seconds), and for each port how many connections and commands there have been so far.

What cannot be counted here is a connection that is refused: while the sockets are closed the kernel refuses it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from asyncio import Server, StreamReader, StreamWriter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from time import monotonic

GARBAGE = b"\x16\x03\x01\x02\x00 220 this is no Redis\r\n"
HELLO = b"%3\r\n+server\r\n+redis\r\n+version\r\n+8.0.0\r\n+proto\r\n:3\r\n"
LOST_CALLS = 10


class Behaviour(StrEnum):
    """What the dependency does with a command."""

    UP = "answers"
    HANG = "hangs"
    REFUSE = "refuses"
    SLOW = "answers after 0.5 s"
    SLOWER = "answers after 3 s"
    GARBAGE = "answers garbage"
    LOSSY = "loses one connection in ten"

    @property
    def delay(self) -> float:
        """Seconds before each reply."""
        return {Behaviour.SLOW: 0.5, Behaviour.SLOWER: 3.0}.get(self, 0.0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What has come to one port so far."""

    connections: int = 0
    commands: int = 0

    def __sub__(self, before: Counted) -> Counted:
        return Counted(self.connections - before.connections, self.commands - before.commands)


class Port:
    """One port of the dependency, and what comes to it."""

    def __init__(self, port: int) -> None:
        self.counted = Counted()
        self._port = port
        self._behaviour = Behaviour.UP
        self._changed = asyncio.Event()
        self._server: Server | None = None
        self._writers: set[StreamWriter] = set()

    async def behave(self, behaviour: Behaviour) -> None:
        """Do that from now on, also to the connections there are."""
        self._behaviour = behaviour
        self._changed.set()
        self._changed = asyncio.Event()
        if behaviour is Behaviour.REFUSE and self._server is not None:
            self._server.close()
            self._server = None
            for writer in self._writers:
                writer.transport.abort()
        if behaviour is not Behaviour.REFUSE and self._server is None:
            self._server = await asyncio.start_server(self._converse, "127.0.0.1", self._port, backlog=512)

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.counted = replace(self.counted, connections=self.counted.connections + 1)
        loses = self._behaviour is Behaviour.LOSSY and self.counted.connections % LOST_CALLS == 0
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while not loses:
                command = await _command(reader)
                self.counted = replace(self.counted, commands=self.counted.commands + 1)
                writer.write(await self._reply(command))
        self._writers.discard(writer)
        writer.transport.abort()

    async def _reply(self, command: list[bytes]) -> bytes:
        """Return the reply when it is due; a hanging one is due as soon as the dependency does not hang any more."""
        while self._behaviour is Behaviour.HANG:
            await self._changed.wait()
        await asyncio.sleep(self._behaviour.delay)
        if self._behaviour is Behaviour.GARBAGE:
            return GARBAGE
        match command:
            case [b"PING"]:
                return b"+PONG\r\n"
            case [b"HELLO", *_]:
                return HELLO
            case [b"CLIENT", b"SETINFO", *_]:
                return b"+OK\r\n"
            case _:
                return b"-ERR unknown command or subcommand\r\n"


async def _command(reader: StreamReader) -> list[bytes]:
    count = int((await reader.readuntil(b"\r\n"))[1:])
    words = []
    for _ in range(count):
        size_bytes = int((await reader.readuntil(b"\r\n"))[1:])
        words.append((await reader.readexactly(size_bytes + 2))[:-2])
    return words


class Dependency:
    """The dependency, as the benchmark commands it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def behave(self, behaviour: Behaviour) -> tuple[float, list[Counted]]:
        """Have it do that, and return since when, and what has come to each port until then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(behaviour, file=self._process.stdin, flush=True)
        at, counts = json.loads(self._process.stdout.readline())
        return at, [Counted(*count) for count in counts]


@contextmanager
def dependency(ports: Sequence[int]) -> Iterator[Dependency]:
    """Run it in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.readiness.dependency", *map(str, ports)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            found = Dependency(process)
            found.behave(Behaviour.UP)
            yield found
        finally:
            process.kill()


async def main() -> None:
    """Run the command line until the input is closed."""
    ports = [Port(int(argument)) for argument in sys.argv[1:]]
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        for port in ports:
            await port.behave(Behaviour(line.strip()))
        print(json.dumps([monotonic(), [astuple(port.counted) for port in ports]]), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
