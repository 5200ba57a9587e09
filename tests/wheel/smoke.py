"""Proves an installed wheel from outside the tree: `smoke.py core` without extras, `smoke.py all` with them.

Run by the nox session `wheel` in an environment that holds the wheel and nothing of the tree.
"""

from __future__ import annotations

import http.client
import importlib
import importlib.metadata
import importlib.util
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NEEDS_EXTRAS = ("zdlife.cli", "zdlife.rehearsal", "zdlife.status", "zdlife.probes.management", "zdlife.probes.page")
APPLICATION = """
from zdlife import Lifecycle
from zdlife.wsgi import LifecycleMiddleware


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


app = LifecycleMiddleware(hello, Lifecycle())
"""


def import_everything(*, extras: bool) -> int:
    """Import every module of the wheel and return how many; those that need an extra only where there is one."""
    import zdlife

    assert Path(zdlife.__file__).is_relative_to(sys.prefix), f"{zdlife.__file__} is not the installed wheel"
    assert zdlife.__version__ == importlib.metadata.version("zdlife")
    assert (Path(zdlife.__file__).parent / "py.typed").exists(), "py.typed is missing"
    assert importlib.util.find_spec("tests") is None, "the wheel holds the tests"
    found = [module.name for module in pkgutil.walk_packages(zdlife.__path__, "zdlife.", onerror=lambda _name: None)]
    wanted = [name for name in found if extras or not name.startswith(NEEDS_EXTRAS)]
    for name in wanted:
        importlib.import_module(name)
    return len(wanted)


def stop_a_real_server() -> dict[str, object]:
    """Start gunicorn with the hooks, ask it, stop it, and return its shutdown report."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        Path(folder, "application.py").write_text(APPLICATION)
        report = Path(folder, "report.json")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = {
            **os.environ,
            "ZDLIFE_SETTLE": "0.5",
            "ZDLIFE_SETTLE_MAX": "1",
            "ZDLIFE_REPORT": str(report),
        }
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "-b",
            f"127.0.0.1:{port}",
            "-w",
            "2",
            "-c",
            "python:zdlife.gunicorn",
        ]
        server = subprocess.Popen([*command, "application:app"], cwd=folder, env=environment)
        try:
            deadline = time.monotonic() + 20
            while ask(port, "/readyz") != 200:
                assert time.monotonic() < deadline, "never ready"
                time.sleep(0.1)
            assert ask(port, "/") == 200
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=20) == 0, f"exit code {server.returncode}"
        finally:
            server.kill()
        *arrivals, line = report.read_text().splitlines()
        assert all(json.loads(arrival)["kind"] == "arrival" for arrival in arrivals), arrivals
        return json.loads(line)


def ask(port: int, path: str) -> int | None:
    """Return the status of a GET, or None where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


if __name__ == "__main__":
    extras = sys.argv[1:] == ["all"]
    print(f"imported {import_everything(extras=extras)} modules {'with' if extras else 'without'} extras")
    if extras:
        told = stop_a_real_server()
        assert told["clean"] is True, told
        subprocess.run([Path(sys.prefix, "bin", "zdlife"), "--help"], check=True, stdout=subprocess.DEVNULL)
        print(
            "stopped a real server cleanly:",
            ", ".join(f"{p['phase']} {p['seconds']:g} s" for p in told["phases"]),
        )
