"""Real services for tests: on a free port of loopback, stopped and held still at will, gone on every way out."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from support.components import require_program
from support.servers import PATIENCE
from support.waiting import eventually
from support.warden import tell_warden

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps each release of PostgreSQL, of which only psql is on the PATH."""


class Service(ABC):
    """One running service; use it as a context manager. `start` after `stop` starts it again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._held: list[int] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Held but not listened on, so that nobody else is given the port while the service is down.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]
        try:
            self._prepare()
            self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._clean_up()
        if error is not None:
            error.add_note(f"{type(self).__name__} said:\n{self.output[-4000:]}")

    def _clean_up(self) -> None:
        self.stop()
        self._holder.close()
        self._forget()

    def start(self) -> None:
        """Return once the service answers."""
        self._said_before = len(self.output)
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )
        self._process = process
        tell_warden(f"+{process.pid}\n")
        eventually(lambda: process.poll() is not None or self._answers(), within=PATIENCE, why="it answers")
        assert process.poll() is None, f"it ended:\n{self.output[-4000:]}"

    @property
    def runs(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Kill the service, as its host would die; return once its port refuses connections."""
        process = self._process
        if process is None:
            return
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=PATIENCE)
        tell_warden(f"-{process.pid}\n")
        self._tell_of_held("-")
        self._process, self._held = None, []

    def pause(self) -> None:
        """Hold the service still: its kernel goes on accepting connections, and nothing answers on them."""
        self._held = self._processes()
        self._tell_of_held("+")  # One that is held still does not notice that the first has died.
        for pid in self._held:
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        for pid in self._held:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._tell_of_held("-")
        self._held = []

    def _tell_of_held(self, sign: str) -> None:
        for pid in self._held[1:]:
            tell_warden(f"{sign}{pid}\n")

    def _processes(self) -> list[int]:
        """Return the service's processes, the first one first; PostgreSQL's leave its group."""
        assert self._process is not None
        first = self._process.pid
        with contextlib.suppress(OSError):
            return [first, *(int(pid) for pid in Path(f"/proc/{first}/task/{first}/children").read_text().split())]
        return [first]

    @property
    def output(self) -> str:
        """What the service wrote to its standard output and error."""
        with contextlib.suppress(FileNotFoundError):
            return self._log.read_text(errors="replace")
        return ""

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _prepare(self) -> None:  # noqa: B027  # most have nothing to prepare
        """Do what comes before the first start."""

    def _forget(self) -> None:  # noqa: B027
        """Undo what was prepared outside the folder."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the argument vector that serves on the port."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether the service answers."""


class RedisServer(Service):
    """A redis-server that keeps nothing on disk; `arguments` are its own, such as `"--requirepass", "secret"`.

    With `"--sentinel"` among them it is a Sentinel, and the first is its configuration.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder)
        self.arguments = arguments

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        own = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder))
        forgetful = () if "--sentinel" in self.arguments else ("--save", "")
        return [require_program("redis-server"), *self.arguments, *own, *forgetful]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as asked:
            asked.sendall(b"PING\r\n")
            return asked.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


class PostgreSQL(Service):
    """A PostgreSQL of its own with an empty database `postgres`, reached through TCP with a password.

    It refuses to run as root and keeps its data where its own user may, outside the folder.
    """

    user = "shop"
    password = "Sesame-7531"
    database = "postgres"

    @property
    def url(self) -> str:
        """Where it is, with user and password."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def _prepare(self) -> None:
        initdb, self._postgres = _postgresql("initdb"), _postgresql("postgres")
        self._data = Path(tempfile.mkdtemp(prefix="zdlife-postgresql-"))
        secret = self._data / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self._data, secret):
                shutil.chown(path, _unprivileged().pw_uid, _unprivileged().pw_gid)
        subprocess.run(
            [
                *_as_unprivileged(),
                *(initdb, "--pgdata", str(self._data / "data"), "--username", self.user, "--pwfile", str(secret)),
                *("--auth", "scram-sha-256", "--no-locale", "--encoding", "UTF8", "--no-sync", "--no-instructions"),
            ],
            check=True,
            capture_output=True,
            cwd="/",
            timeout=2 * PATIENCE,
        )

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 30,
        }
        told = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*_as_unprivileged(), self._postgres, "-D", str(self._data / "data"), *told]

    def _answers(self) -> bool:
        return "ready to accept connections" in self.output[self._said_before :]

    def _forget(self) -> None:
        if hasattr(self, "_data"):
            shutil.rmtree(self._data, ignore_errors=True)


def _postgresql(program: str) -> str:
    """Return the newest release's program, or end the test."""
    found = sorted(DEBIAN.glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else require_program(program)


def _unprivileged() -> pwd.struct_passwd:
    """Return whom PostgreSQL runs as where the tests run as root."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as_unprivileged() -> list[str]:
    """Return what a command begins with that may not run as root; it stays the same process."""
    if os.geteuid() != 0:
        return []
    user = _unprivileged()
    return [require_program("setpriv"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
