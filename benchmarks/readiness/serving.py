"""Runs an application of the benchmark under a real server, and ends it on every way out."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic, sleep
from typing import Self

from benchmarks.readiness.prober import probe

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "UVICORN_", "ZDLIFE_")
"""Variables of whoever runs the benchmark that would change what is measured."""
PATIENCE = 60.0
QUICK_STOP = {"ZDLIFE_SETTLE": "0", "ZDLIFE_SETTLE_QUIET": "0", "ZDLIFE_DRAIN": "1", "ZDLIFE_REPORT": os.devnull}


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def uvicorn(application: str, port: int) -> list[str]:
    """Return the arguments that serve an ASGI application in one process."""
    return ["uvicorn", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", application]


def gunicorn_sync(application: str, port: int, *, workers: int) -> list[str]:
    """Return the arguments that serve a WSGI application in sync workers, with zdlife's hooks."""
    hooks = ["-c", "python:zdlife.gunicorn"]
    return ["gunicorn", "-k", "sync", "-w", str(workers), "-b", f"127.0.0.1:{port}", *hooks, application]


class Served:
    """One server; use it as a context manager. It answers 2xx at `path` of `port` once it has been entered."""

    def __init__(self, module: Sequence[str], *, port: int, path: str, environment: Mapping[str, str]) -> None:
        self._module = module
        self._environment = environment
        self._port, self._path = port, path

    def __enter__(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self._log = TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self._module],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**kept, **QUICK_STOP, **self._environment},
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(timeout=PATIENCE)
            self._log.close()

    @property
    def processor_seconds(self) -> float:
        """What the server's first process has used of the processors so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _wait_until_it_answers(self) -> None:
        until = monotonic() + PATIENCE
        while not 200 <= probe(self._port, self._path).status < 300:
            if self._process.poll() is not None or monotonic() > until:
                self._log.seek(0)
                said = self._log.read().decode(errors="replace")
                raise SystemExit(f"{' '.join(self._module)} does not answer {self._path}. It said:\n{said[-4000:]}")
            sleep(0.1)
