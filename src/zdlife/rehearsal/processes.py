"""The processes a rehearsal starts, each in a group of its own, none of which outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from zdlife.rehearsal import warden

LEFTOVERS = 1.0
"""Seconds that the children of a process may take to follow it."""


class Process:
    """One process, its group and its output."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, output: Path) -> None:
        self.name = name
        self.output = output
        self._process = process
        self.buried = False

    @property
    def pid(self) -> int:
        """The process, and the group that it leads."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self, within: float | None = None) -> int | None:
        """Return the exit code, or None if it still runs after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                return await self._process.wait()
        except TimeoutError:
            return None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, as an orchestrator does; not to its children."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill_group(self) -> bool:
        """Kill whatever is left of the group, and return whether anything was."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def last_output(self, lines: int = 15) -> list[str]:
        """Return the last lines that the process wrote."""
        with contextlib.suppress(OSError):
            written = self.output.read_bytes()[-16_384:].decode("utf-8", "replace")
            return [line.rstrip() for line in written.splitlines() if line.strip()][-lines:]
        return []


class Processes:
    """Every process of one rehearsal: on the way out, whichever way that is, each group is killed.

    If this process itself is killed, the warden kills them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Process] = []
        self._warden: subprocess.Popen[bytes] | None = None

    async def start(self, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Process:
        """Return a running process whose output goes to a file of its name."""
        output = self._folder / f"{name}.log"
        with output.open("wb") as file:
            spawned = await asyncio.create_subprocess_exec(
                *argv,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        process = Process(name, spawned, output)
        self._started.append(process)
        self._tell(f"+{process.pid}\n")
        return process

    async def bury(self, process: Process) -> None:
        """Wait a moment for the children of a process that has ended, kill those that stay, and forget the group."""
        with contextlib.suppress(TimeoutError, ProcessLookupError):
            async with asyncio.timeout(LEFTOVERS):
                while True:
                    os.killpg(process.pid, 0)
                    await asyncio.sleep(0.02)
        self._forget(process)

    async def __aenter__(self) -> Self:
        argv = [sys.executable, "-I", "-S", warden.__file__]
        self._warden = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)  # noqa: ASYNC220 - 5 ms, once
        return self

    async def __aexit__(self, *exc: object) -> None:
        left = [process for process in self._started if not process.buried]
        for process in left:
            self._forget(process)
        assert self._warden is not None
        assert self._warden.stdin is not None
        self._warden.stdin.close()
        self._warden.wait(timeout=5)
        for process in left:
            await process.wait(within=1.0)

    def _forget(self, process: Process) -> None:
        process.kill_group()
        process.buried = True
        self._tell(f"-{process.pid}\n")

    def _tell(self, line: str) -> None:
        assert self._warden is not None
        assert self._warden.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._warden.stdin.write(line.encode())
            self._warden.stdin.flush()
