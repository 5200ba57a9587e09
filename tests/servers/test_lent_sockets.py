"""A listening socket that outlives the instance goes on working when the instance has gone."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import eventually

APPS = Path(__file__).parent / "apps"
COMMANDS = {
    "gunicorn": ("gunicorn", "-c", "python:zdlife.gunicorn", "-w", "1", "-b", "fd://{fd}", "lent:wsgi"),
    "gunicorn alone": ("gunicorn", "-w", "1", "-b", "fd://{fd}", "lent:wsgi"),
    "uvicorn": ("uvicorn", "--fd", "{fd}", "lent:asgi"),
    "hypercorn": ("hypercorn", "-w", "0", "-b", "fd://{fd}", "lent:asgi"),
}


def ask(port: int) -> str | None:
    """Return which process answers, or None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/who")
        return connection.getresponse().read().decode()
    except OSError:
        return None
    finally:
        connection.close()


@contextmanager
def served(command: tuple[str, ...], listener: socket.socket, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on `listener`, and end it whatever happens."""
    arguments = [part.format(fd=listener.fileno()) for part in command]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(APPS), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "ZDLIFE_SETTLE": "0.3",
        "ZDLIFE_SETTLE_MAX": "0.3",
        "ZDLIFE_REPORT": str(folder / "reports.jsonl"),
    }
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=environment,
            cwd=folder,
            pass_fds=[listener.fileno()],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_next_server_on_a_lent_socket_is_heard(name: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for _ in range(2):
            with served(COMMANDS[name], listener, tmp_path) as process:
                eventually(lambda: ask(port) is not None, within=20)
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0


def test_after_an_upgrade_by_usr2_the_new_master_is_heard(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    command = ("gunicorn", "-c", "python:zdlife.gunicorn", "-w", "1", "-b", f"127.0.0.1:{port}", "lent:wsgi")
    with socket.socket() as unused, served((*command, "-p", str(tmp_path / "pid")), unused, tmp_path) as old:
        eventually(lambda: ask(port) is not None, within=20)
        old.send_signal(signal.SIGUSR2)
        eventually((tmp_path / "pid.2").exists, within=20)
        new = int((tmp_path / "pid.2").read_text())
        eventually(lambda: (ask(port) or "").startswith(f"{new} "), within=20)
        old.send_signal(signal.SIGTERM)
        old.wait(20)
        try:
            assert all((ask(port) or "").startswith(f"{new} ") for _ in range(5))
        finally:
            os.kill(new, signal.SIGTERM)
            eventually(lambda: ask(port) is None, within=20)
