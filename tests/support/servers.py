"""Real servers for tests: started on a free port, watched, signalled, and ended on every way out."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import Signals
from typing import Any, Literal, Self

from support.components import require_module
from support.waiting import eventually
from support.warden import tell_warden

APPS = Path(__file__).resolve().parents[1] / "servers" / "apps"
FOREIGN = ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "UVICORN_", "GRANIAN_", "HYPERCORN_", "ZDLIFE_", "TEST_")
"""Variables of whoever runs the tests that would change what is tested."""
PATIENCE = 30.0
"""Seconds for what takes one or two on an idle machine."""

QUICK = {
    "ZDLIFE_SETTLE": "1",
    "ZDLIFE_SETTLE_QUIET": "0.5",
    "ZDLIFE_SETTLE_MAX": "3",
    "ZDLIFE_DRAIN": "15",
    "ZDLIFE_CLEANUP": "3",
    "ZDLIFE_GRACE": "25",
}
"""Short times, which keep the tests quick; the drain is long, as only what hangs waits for its end."""


@dataclass(frozen=True, slots=True)
class Server:
    """One way to run an application. `reports` is how many shutdown reports a clean stop writes."""

    name: str
    interface: Literal["asgi", "wsgi"]
    module: str
    arguments: tuple[str, ...]
    processes: int = 1
    reports: int = 1
    needs: tuple[str, ...] = ()
    hooks: bool = False

    def command(self, port: int, *, application: str, extra: Sequence[str] = (), hooks: bool = True) -> list[str]:
        """Return the argument vector that serves `application` on `port`."""
        bind = {
            "gunicorn": ["--bind", f"127.0.0.1:{port}"],
            "uvicorn": ["--host", "127.0.0.1", "--port", str(port), "--no-access-log"],
            "granian": ["--host", "127.0.0.1", "--port", str(port), "--interface", "asgi"],
            "hypercorn": ["--bind", f"127.0.0.1:{port}"],
        }[self.module]
        config = ["-c", "python:zdlife.gunicorn"] if self.hooks and hooks else []
        return [sys.executable, "-m", self.module, *bind, *self.arguments, *config, *extra, application]

    def with_workers(self, workers: int) -> Server:
        """Return this server with another number of workers, for those that say it with -w."""
        arguments = list(self.arguments)
        arguments[arguments.index("-w") + 1] = str(workers)
        reports = self.reports if self.hooks else workers
        return replace(self, arguments=tuple(arguments), processes=workers, reports=reports)

    def __str__(self) -> str:
        return self.name


_GUNICORN: tuple[tuple[str, Literal["asgi", "wsgi"], tuple[str, ...], int, tuple[str, ...]], ...] = (
    ("sync", "wsgi", ("-k", "sync", "-w", "4"), 4, ()),
    ("gthread", "wsgi", ("-k", "gthread", "-w", "2", "--threads", "6"), 2, ()),
    ("asgi", "asgi", ("-k", "asgi", "-w", "2"), 2, ()),
    ("uvicorn", "asgi", ("-k", "uvicorn_worker.UvicornWorker", "-w", "2"), 2, ("uvicorn_worker",)),
)

SERVERS: Mapping[str, Server] = {
    server.name: server
    for server in (
        *(
            Server(f"gunicorn-{kind}", interface, "gunicorn", arguments, processes, 1, needs, hooks=True)
            for kind, interface, arguments, processes, needs in _GUNICORN
        ),
        *(
            Server(f"gunicorn-{kind}-alone", interface, "gunicorn", arguments, processes, processes, needs)
            for kind, interface, arguments, processes, needs in _GUNICORN
        ),
        Server("uvicorn", "asgi", "uvicorn", ()),
        Server("uvicorn-h11", "asgi", "uvicorn", ("--loop", "asyncio", "--http", "h11")),
        Server("uvicorn-workers", "asgi", "uvicorn", ("--workers", "2", "--timeout-worker-healthcheck", "30"), 2, 2),
        Server("granian", "asgi", "granian", ("--workers", "1")),
        Server("granian-2", "asgi", "granian", ("--workers", "2"), 2, 2),
        Server("hypercorn", "asgi", "hypercorn", ("-w", "0")),
        Server("hypercorn-2", "asgi", "hypercorn", ("-w", "2"), 2, 2),
    )
}
ASGI = tuple(name for name, server in SERVERS.items() if server.interface == "asgi")
HOOKED = tuple(name for name, server in SERVERS.items() if server.hooks)


@dataclass(frozen=True, slots=True)
class Note:
    """One line that zdlife logged in some process of an instance."""

    pid: int
    at: float
    level: str
    said: str
    zdlife: Any
    raised: str | None


@dataclass
class Instance:
    """One running instance; use it as a context manager. Whatever happens, its process group is gone afterwards."""

    server: Server
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    extra: Sequence[str] = ()
    bare: bool = False
    without: Sequence[str] = ()
    packages: Path | None = None
    """A folder of packages that come before the installed ones."""
    command: Sequence[str] | None = None
    prefix: Sequence[str] = ()
    """What the command begins with, where it is run by another one."""
    port: int = 0

    def __enter__(self) -> Self:
        for module in (*self.server.needs, self.server.module):
            require_module(module)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", self.port))
        self.port = self._holder.getsockname()[1]
        application = f"shop_{self.server.interface}:{'bare' if self.bare else 'app'}"
        command = self.command or self.server.command(
            self.port, application=application, extra=self.extra, hooks=not self.bare
        )
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.folder,
                start_new_session=True,
            )
        tell_warden(f"+{self.process.pid}\n")
        self.started = time.monotonic()
        self.signalled: float | None = None
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=PATIENCE)
        tell_warden(f"-{self.process.pid}\n")
        self._holder.close()
        if error is not None:
            error.add_note(f"{self.server}, exit code {self.exit_code}, said:\n{self.output[-6000:]}")
            error.add_note("its journal:\n" + "\n".join(str(note) for note in self.journal())[-6000:])

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        search = [str(self.packages)] if self.packages else []
        search += [
            str(APPS),
            *(str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path),
        ]
        return {
            **kept,
            **QUICK,
            "ZDLIFE_REPORT": str(self._report),
            "ZDLIFE_BOARD_DIR": str(self.folder),
            "TEST_FOLDER": str(self.folder),
            "TEST_WITHOUT": ",".join(self.without),
            "TEST_BARE": "1" if self.bare else "",
            "PYTHONPATH": os.pathsep.join(search),
            "PYTHONUNBUFFERED": "1",
            **self.environment,
        }

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    @property
    def _report(self) -> Path:
        return self.folder / "report"

    @property
    def output(self) -> str:
        """What the instance wrote to its standard output and error."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The first process, which leads the group."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self.process.poll()

    def reports(self) -> list[dict[str, Any]]:
        """Return the shutdown reports; raises ValueError when one is no JSON."""
        return self._records("shutdown")

    def arrivals(self) -> list[dict[str, Any]]:
        """Return the arrival records, one of each worker that has been ready."""
        return self._records("arrival")

    def _records(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in map(json.loads, _lines(self._report)) if record["kind"] == kind]

    @property
    def report(self) -> dict[str, Any]:
        """The one shutdown report."""
        (report,) = self.reports()
        return report

    def journal(self, said: str = "") -> list[Note]:
        """Return what zdlife logged, or only the lines that begin with `said`."""
        return [
            note
            for note in (Note(**json.loads(line)) for line in _lines(self.folder / "journal"))
            if note.said.startswith(said)
        ]

    def phases(self, phase: str) -> set[int]:
        """Return the processes that have come to `phase`."""
        return {note.pid for note in self.journal() if isinstance(note.zdlife, dict) and is_entry(note, phase)}

    def marks(self, what: str) -> list[int]:
        """Return the processes that left this mark, in order."""
        return [int(pid) for name, pid in (line.split() for line in _lines(self.folder / "marks")) if name == what]

    def open_gate(self, gate: str) -> None:
        """Let pass what waits at this gate, now and from now on."""
        (self.folder / f"open-{gate}").touch()

    def wait_until_at(self, gate: str, *, times: int = 1) -> None:
        """Return once something waits at this gate."""
        eventually(lambda: len(self.marks(f"at-{gate}")) >= times, within=PATIENCE, why=f"{times} at {gate}")

    def wait_until(self, condition: Callable[[], Any], *, within: float = PATIENCE, why: str = "") -> Any:
        """Return the first true value of `condition`, or fail at once if the instance ends before."""

        def holds() -> Any:
            return condition() or self.exit_code is not None

        found = eventually(holds, within=within, why=why)
        assert found is not True or condition(), f"the instance ended with {self.exit_code} before {why}"
        return found

    def wait_until_ready(self) -> None:
        """Return once every process of the instance serves; without zdlife, once a request is served."""
        if self.bare:
            self.wait_until(lambda: answers(self.port, "/"), why="it serves")
            return
        expected = self.server.processes + (1 if self.server.hooks else 0)
        self.wait_until(lambda: len(self.phases("ready")) >= expected, why=f"{expected} processes are ready")
        self.wait_until(lambda: answers(self.port, "/readyz"), why="it is ready")

    def workers(self) -> set[int]:
        """Return the processes that serve requests."""
        ready = self.phases("ready")
        return ready - {self.pid} if len(ready) > 1 else ready

    def signal(self, *numbers: Signals) -> float:
        """Send these signals to the first process, one after the other at once; return when."""
        at = time.monotonic()
        for number in numbers:
            os.kill(self.process.pid, number)
        self.signalled = self.signalled or at
        return at

    def signal_group(self, number: Signals) -> None:
        """Send a signal to every process of the instance, as a terminal does."""
        self.signalled = self.signalled or time.monotonic()
        os.killpg(self.process.pid, number)

    def wait_for_exit(self, *, within: float = PATIENCE) -> int:
        """Return the exit code once the first process has ended.

        Raises:
            AssertionError: it has not in this time.
        """
        try:
            code = self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.server} still runs after {within:g} s") from None
        self.ended = time.monotonic()
        return code

    @property
    def left_in(self) -> float:
        """How long it took from the first signal to the exit."""
        assert self.signalled is not None
        return self.ended - self.signalled

    def others_end(self, *, within: float = PATIENCE) -> None:
        """Return once no process of the group is left."""
        eventually(lambda: not group_lives(self.pid), within=within, why="every process has ended")


def is_entry(note: Note, phase: str) -> bool:
    """Whether the note says that a process has entered this phase; the shutdown report has `phases` and no `phase`."""
    return phase in (note.said, note.zdlife.get("phase"))


def group_lives(group: int) -> bool:
    """Return whether any process of the group runs; one that has ended and is not waited for does not."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(pgrp) == group and state != "Z":
                    return True
    return False


def answers(port: int, path: str) -> bool:
    """Return whether a request for `path` is answered with 200."""
    from support.clients import get

    with contextlib.suppress(OSError, ValueError):
        return get(port, path, timeout=5.0).status == 200
    return False


def installed(module: str) -> bool:
    """Return whether `module` can be imported."""
    return importlib.util.find_spec(module) is not None


def _lines(path: Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError):
        yield from (line for line in path.read_text().splitlines(keepends=False) if line)
