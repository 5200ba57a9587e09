"""Trap: a connection that waits in the accept queue when the last process closes the socket is reset.

The client had connected and asked; nothing tells it that nobody read it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from support import eventually, require_program
from support.clients import Call, Load, get
from support.servers import SERVERS, Instance, answers

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the queue can be emptied on Linux alone")
LEFT_QUEUES = ["gunicorn-sync", "gunicorn-gthread", "uvicorn-workers"]
"""Those that leave an accept queue behind by themselves."""
TIMES = {"ZDLIFE_SETTLE": "0.6", "ZDLIFE_SETTLE_QUIET": "0.2", "ZDLIFE_SETTLE_MAX": "1"}
BUSY = {"gunicorn-sync": ("-w", "2"), "gunicorn-gthread": ("-w", "1", "--threads", "1"), "uvicorn-workers": ()}


@linux
@pytest.mark.parametrize("name", [name for name in LEFT_QUEUES if name.startswith("gunicorn")])
def test_what_is_queued_at_the_end_of_the_settle_is_served(name: str, tmp_path: Path) -> None:
    """The workers stand still at the end of the settle, and twenty connections wait that nobody has accepted."""
    assert answered_of_those_queued(name, tmp_path / "cured") == 20
    assert answered_of_those_queued(name, tmp_path / "control", bare=True) < 20


def answered_of_those_queued(name: str, folder: Path, *, bare: bool = False) -> int:
    """Stop an instance whose workers stand still until its own stop has begun."""
    server = SERVERS[name].with_workers(1)
    with ExitStack() as calls, Instance(server, folder, environment=TIMES, bare=bare) as instance:
        instance.wait_until_ready()
        worker = int(get(instance.port, "/").body)
        if not bare:
            instance.signal(signal.SIGTERM)
            instance.wait_until(lambda: instance.pid in instance.phases("settling"), why="it settles")
        with standing_still(worker):
            queued = [calls.enter_context(Call(instance.port)).send("GET", "/") for _ in range(20)]
            if bare:
                instance.signal(signal.SIGTERM)
                instance.wait_until(lambda: "Handling signal: term" in instance.output, why="it stops")
            else:
                instance.wait_until(lambda: instance.pid in instance.phases("draining"), why="the settle is over")
        answered = sum(is_answered(call) for call in queued)
        calls.close()
        assert instance.wait_for_exit() == 0
        return answered


@contextmanager
def standing_still(*workers: int) -> Iterator[None]:
    """Stop these workers for the length of the block, as a machine short of processors does."""
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def is_answered(call: Call) -> bool:
    try:
        return call.read().status == 200
    except (OSError, HTTPException):
        return False


@linux
@pytest.mark.parametrize("name", ["gunicorn-sync", "uvicorn-workers"])
def test_nobody_is_let_in_after_the_settle_only_to_be_reset(name: str, tmp_path: Path) -> None:
    """A request in flight keeps the instance; who comes now gets no connection, and so knows that nothing was asked."""
    assert let_in_while_draining(name, tmp_path / "cured") == 0
    assert let_in_while_draining(name, tmp_path / "control", without="leaving the queue empty") > 0


def let_in_while_draining(name: str, folder: Path, *, without: str = "") -> int:
    """Return how many of ten connections made during the drain came about and were then lost."""
    with ExitStack() as stack, Instance(SERVERS[name], folder, environment=TIMES, without=[without]) as instance:
        instance.wait_until_ready()
        slow = stack.enter_context(Call(instance.port)).send("GET", "/hold?gate=slow")
        instance.wait_until_at("slow")
        (holder,) = instance.marks("at-slow")
        instance.signal(signal.SIGTERM)
        idle = instance.workers() - {holder}
        instance.wait_until(lambda: idle <= instance.phases("stopped"), why="every idle worker has stopped")
        attempts = [stack.enter_context(attempt(instance.port)) for _ in range(10)]
        let_in = connected(attempts, within=0.5)
        for found in let_in:
            found.setblocking(True)
            found.settimeout(20)
            found.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        instance.open_gate("slow")
        assert slow.read().body == b"held"
        slow.close()
        assert instance.wait_for_exit() == 0
        return sum(is_lost(found) for found in let_in)


@contextmanager
def attempt(port: int) -> Iterator[socket.socket]:
    """Begin to connect, and do not wait for it."""
    with socket.socket() as found:
        found.setblocking(False)
        found.connect_ex(("127.0.0.1", port))
        yield found


def connected(attempts: list[socket.socket], *, within: float) -> list[socket.socket]:
    """Return those that are connected in this time."""
    found = []
    with selectors.DefaultSelector() as selector:
        for one in attempts:
            selector.register(one, selectors.EVENT_WRITE)
        while len(found) < len(attempts) and (ready := selector.select(within)):
            for key, _ in ready:
                selector.unregister(key.fileobj)
                if one_is_connected(key.fileobj):
                    found.append(key.fileobj)
            if not selector.get_map():
                break
    return found


def one_is_connected(found: socket.socket) -> bool:
    return found.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def is_lost(found: socket.socket) -> bool:
    """Whether the connection ends without an answer."""
    try:
        return not found.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return True


NGINX = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream app {{ {servers} }}
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://app; }} }}
}}
"""


@pytest.mark.parametrize("name", LEFT_QUEUES)
def test_nginx_without_health_checks_answers_no_502(name: str, tmp_path: Path) -> None:
    """POSTs, which nginx does not try again. An instance leaves while some wait in its queue; a bare one follows."""
    with ExitStack() as stack:
        cured, control, rest = (
            stack.enter_context(
                Instance(SERVERS[name], tmp_path / which, environment=TIMES, extra=BUSY[name], bare=which == "control")
            )
            for which in ("cured", "control", "rest")
        )
        for instance in (cured, control, rest):
            instance.wait_until(lambda port=instance.port: answers(port, "/"), why="it serves")
        port = stack.enter_context(nginx(tmp_path, cured.port, control.port, rest.port))
        load = stack.enter_context(Load(port, path="/pause", method="POST", fresh=15, kept=0, pause=0.005))
        goes_on(load)
        cured.signal(signal.SIGTERM)
        assert cured.wait_for_exit() == 0
        goes_on(load)
        assert load.failures == {}
        control.signal(signal.SIGTERM)
        control.wait_for_exit()
        goes_on(load)
        assert load.failures.total() > 0


def goes_on(load: Load) -> None:
    """Return once the load has sent forty more."""
    already = load.sent
    eventually(lambda: load.sent > already + 40, within=30)


@contextmanager
def nginx(folder: Path, *ports: int) -> Iterator[int]:
    """Yield the port of an nginx that knows these instances and asks nobody for their health."""
    program = require_program("nginx")
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        file = folder / "nginx.conf"
        file.write_text(
            NGINX.format(
                folder=folder,
                port=port,
                user="user root;" if os.geteuid() == 0 else "",
                servers=" ".join(f"server 127.0.0.1:{one} max_fails=0;" for one in ports),
            )
        )
        argv = [program, "-p", str(folder), "-e", "stderr", "-c", str(file)]
        with (folder / "nginx.log").open("wb") as log:
            running = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            eventually(lambda: get_ok(port), within=20, why="nginx answers")
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait(timeout=20)


def get_ok(port: int) -> bool:
    try:
        return get(port, "/").status == 200
    except (OSError, HTTPException):
        return False
