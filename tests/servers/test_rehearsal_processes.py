"""No process outlives its rehearsal, whichever way that ends; and a port that is held is nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import eventually
from zdlife.errors import PlanError
from zdlife.rehearsal.ports import Ports
from zdlife.rehearsal.processes import Process, Processes

pytestmark = pytest.mark.anyio
FAMILY = """
import os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def family(processes: Processes, folder: Path) -> Process:
    """Start a process with a child that ignores SIGTERM, and return it when both are there."""
    process = await processes.start("family", [sys.executable, "-c", FAMILY], env=dict(os.environ), cwd=folder)
    async with asyncio.timeout(10):
        while process.last_output() != ["ready", "ready"]:
            await asyncio.sleep(0.02)
    return process


def members(group: int) -> set[int]:
    """Return the living processes of a group; zombies that nobody reaps are dead."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, pgid = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(pgid) == group and state != "Z":
                    found.add(int(entry.name))
    return found


async def test_leaving_kills_the_whole_group(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        process = await family(processes, tmp_path)
        assert len(members(process.pid)) == 2
    assert eventually(lambda: not members(process.pid))


async def test_leaving_by_an_error_kills_the_whole_group(tmp_path: Path) -> None:
    async def broken() -> None:
        async with Processes(tmp_path) as processes:
            started.append(await family(processes, tmp_path))
            raise ZeroDivisionError

    started: list[Process] = []
    with pytest.raises(ZeroDivisionError):
        await broken()
    assert eventually(lambda: not members(started[0].pid))


async def test_burying_kills_the_children_that_stay(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        process = await family(processes, tmp_path)
        process.signal(signal.SIGTERM)
        assert await process.wait(within=5) == -signal.SIGTERM
        assert len(members(process.pid)) == 1
        await processes.bury(process)
        assert eventually(lambda: not members(process.pid))


async def test_a_process_that_does_not_end_is_said_not_to(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        process = await family(processes, tmp_path)
        assert await process.wait(within=0.1) is None
        assert process.exit_code is None


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has started a family and waits."""
    program = textwrap.dedent(f"""
        import asyncio, os, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_rehearsal_processes import Processes, family

        async def main():
            async with Processes(Path({str(tmp_path)!r})) as processes:
                process = await family(processes, Path({str(tmp_path)!r}))
                print(process.pid, flush=True)
                await asyncio.sleep(600)

        asyncio.run(main())
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        yield process
        process.kill()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_signal_to_the_rehearsal_leaves_a_process_behind(
    rehearsal: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert rehearsal.stdout is not None
    group = int(rehearsal.stdout.readline())
    assert len(members(group)) == 2
    rehearsal.send_signal(number)
    rehearsal.wait(timeout=10)
    assert eventually(lambda: not members(group))


def test_a_port_that_is_held_is_not_given_to_anybody_else() -> None:
    with Ports() as ports:
        port = ports.reserve()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_a_server_can_listen_on_the_port_that_is_handed_over() -> None:
    with Ports() as ports:
        port = ports.reserve()
        ports.hand_over(port)
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            pass


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Ports() as ports:
        port = taken.getsockname()[1]
        with pytest.raises(PlanError, match=f"port {port} is in use. Free it"):
            ports.reserve(port)


def test_a_port_is_free_again_in_the_end() -> None:
    with Ports() as ports:
        port = ports.reserve()
    with socket.create_server(("127.0.0.1", port)):
        pass
