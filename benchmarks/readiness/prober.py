"""Probes from a process of its own, each on a new connection, and prints what came of every one.

    python -m benchmarks.readiness.prober 1000 8001/readyz                  # so many, one after another
    python -m benchmarks.readiness.prober every 0.1 8001/readyz 8002/readyz  # each of them, until its input is closed

The second keeps its times whether or not the answers before have come, as several balancers do that know nothing of
each other. Times are monotonic seconds, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from time import monotonic

PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe: which target, when it began and ended, and the status it was answered with, 0 if with none."""

    target: int
    began: float
    ended: float
    status: int

    @property
    def latency(self) -> float:
        return self.ended - self.began

    @property
    def green(self) -> bool:
        return 200 <= self.status < 300


def probe(port: int, path: str) -> Probe:
    """Return what comes of one probe on a new connection."""
    began = monotonic()
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(_request(port, path))
            while part := connection.recv(65_536):
                received += part
    except OSError:
        received = b""
    return Probe(0, began, monotonic(), _status(received))


async def probe_async(target: int, port: int, path: str) -> Probe:
    """Return the same, while others are under way."""
    began = monotonic()
    received = b""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_request(port, path))
                received = await reader.read()
            finally:
                writer.close()
    except OSError:
        received = b""
    return Probe(target, began, monotonic(), _status(received))


def one_by_one(count: int, port: int, path: str) -> list[Probe]:
    """Return what a process of its own got from so many probes, one after another."""
    found = subprocess.run(_command(str(count), f"{port}{path}"), stdout=subprocess.PIPE, check=True)
    return [Probe(*fields) for fields in json.loads(found.stdout)]


@contextmanager
def every(interval: float, targets: Sequence[tuple[int, str]]) -> Iterator[list[Probe]]:
    """Have a process of its own probe each target, a port and a path, all the time; the list is filled at the end."""
    named = [f"{port}{path}" for port, path in targets]
    found: list[Probe] = []
    with subprocess.Popen(
        _command("every", str(interval), *named), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield found
            said, _ = process.communicate()
        except BaseException:
            process.kill()
            raise
    found += [Probe(*fields) for fields in json.loads(said)]


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.readiness.prober", *arguments]


def _request(port: int, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()


def _status(received: bytes) -> int:
    """Return the status of a response, and 0 unless all of it has come."""
    head, blank, _ = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if blank else 0


async def _keep_probing(interval: float, targets: Sequence[tuple[int, str]]) -> list[Probe]:
    loop = asyncio.get_running_loop()
    closed = loop.run_in_executor(None, sys.stdin.read)
    tasks = []
    due = loop.time()
    while not closed.done():
        for target, (port, path) in enumerate(targets):
            tasks.append(asyncio.create_task(probe_async(target, port, path)))
        due += interval
        await asyncio.wait([closed], timeout=max(0.0, due - loop.time()))
    return await asyncio.gather(*tasks)


def main() -> None:
    """Run the command line, and print one list of probes."""
    targets = []
    for argument in sys.argv[1:]:
        port, slash, path = argument.partition("/")
        if slash:
            targets.append((int(port), slash + path))
    if sys.argv[1] == "every":
        found = asyncio.run(_keep_probing(float(sys.argv[2]), targets))
    else:
        found = [probe(*targets[0]) for _ in range(int(sys.argv[1]))]
    print(json.dumps([astuple(probe) for probe in found]))


if __name__ == "__main__":
    main()
