"""Traps: connections that nobody uses, WebSockets that nobody closes, signals that are not heard, exit handlers.

Each test has its control: the same departure without zdlife, or without the one cure.
"""

from __future__ import annotations

import signal
from http.client import HTTPException
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support import eventually
from support.clients import Call, get
from support.servers import SERVERS, Instance

SHORT = {"ZDLIFE_SETTLE": "0.5", "ZDLIFE_DRAIN": "2", "ZDLIFE_CLEANUP": "1", "ZDLIFE_GRACE": "10"}


@pytest.mark.parametrize("name", ["gunicorn-asgi", "gunicorn-asgi-alone"])
def test_connections_that_nobody_uses_do_not_keep_gunicorns_asgi_worker(name: str, tmp_path: Path) -> None:
    """One that never sent a request, one kept alive, and a WebSocket: exit 0, the lifespan ends, inside the drain."""
    with Instance(SERVERS[name], tmp_path, environment=SHORT) as instance:
        instance.wait_until_ready()
        url = f"ws://127.0.0.1:{instance.port}/ws"
        with Call(instance.port) as never_used, Call(instance.port) as kept, connect(url, proxy=None) as talk:
            kept.send("GET", "/").read()
            instance.signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                talk.recv(timeout=20)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
            assert instance.wait_for_exit() == 0
            assert never_used.socket.recv(1) == b""
        assert sorted(instance.marks("lifespan-shutdown")) == sorted(instance.marks("lifespan-startup"))
        assert all(report["clean"] for report in instance.reports())
        assert "SIGKILL" not in instance.output


def test_control_without_the_cure_a_connection_that_nobody_uses_costs_the_whole_drain(tmp_path: Path) -> None:
    server = SERVERS["gunicorn-asgi"]
    with Instance(server, tmp_path, environment=SHORT, without=["closing idle connections"]) as instance:
        instance.wait_until_ready()
        with Call(instance.port):
            instance.signal(signal.SIGTERM)
            instance.wait_for_exit()
        draining = instance.report["phases"][-2]
        assert draining["phase"] == "draining"
        assert draining["seconds"] >= 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["SIGINT", "SIGQUIT"])
def test_uvicorn_worker_stops_promptly(number: signal.Signals, tmp_path: Path) -> None:
    """SIGQUIT, and SIGINT where nothing settles; without the cure it serves on until it is killed.

    What SIGQUIT cuts off is cut off; the exit code is 0 all the same, as it is for gunicorn's own workers.
    """
    once = {"ZDLIFE_SETTLE": "0", "ZDLIFE_DRAIN": "40", "ZDLIFE_GRACE": "60"}
    server = SERVERS["gunicorn-uvicorn"]
    with Instance(server, tmp_path, environment=once) as instance:
        instance.wait_until_ready()
        with Call(instance.port) as idle:
            idle.send("GET", "/").read()
            instance.signal(number)
            assert instance.wait_for_exit(within=15) == 0
        instance.others_end()
        assert len(instance.reports()) == 1


def test_control_without_the_cure_a_uvicorn_worker_does_not_hear_sigquit(tmp_path: Path) -> None:
    once = {"ZDLIFE_SETTLE": "0", "ZDLIFE_DRAIN": "2", "ZDLIFE_CLEANUP": "1", "ZDLIFE_GRACE": "10"}
    server = SERVERS["gunicorn-uvicorn"]
    with Instance(server, tmp_path, environment=once, without=["quitting at once"]) as instance:
        instance.wait_until_ready()
        instance.signal(signal.SIGQUIT)
        instance.wait_for_exit()
        assert instance.left_in >= 3  # gunicorn's whole graceful timeout, and then SIGKILL
        assert instance.marks("atexit") == []


def test_uvicorn_exits_with_0_and_runs_the_exit_handlers(tmp_path: Path) -> None:
    with Instance(SERVERS["uvicorn"], tmp_path / "cured") as instance:
        instance.wait_until_ready()
        instance.signal(signal.SIGTERM)
        assert instance.wait_for_exit() == 0
        assert instance.marks("atexit") == [instance.pid]

    with Instance(SERVERS["uvicorn"], tmp_path / "control", bare=True) as control:
        control.wait_until_ready()
        control.signal(signal.SIGTERM)
        assert control.wait_for_exit() == -signal.SIGTERM
        assert control.marks("atexit") == []


@pytest.mark.parametrize("name", ["gunicorn-asgi", "granian", "hypercorn"])
def test_control_without_the_goodbye_a_websocket_is_dropped(name: str, tmp_path: Path) -> None:
    """The servers that close none by themselves; with the goodbye, test_leaving sees 1012 on every server."""
    with Instance(
        SERVERS[name], tmp_path, environment={**SHORT, "ZDLIFE_DRAIN": "1"}, without=["saying goodbye"]
    ) as instance:
        instance.wait_until_ready()
        with connect(f"ws://127.0.0.1:{instance.port}/ws", proxy=None) as talk:
            instance.signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                talk.recv(timeout=20)
            assert closed.value.rcvd is None or closed.value.rcvd.code != 1012


@pytest.mark.parametrize("name", ["gunicorn-asgi", "uvicorn-workers"])
def test_a_new_websocket_is_refused_by_a_worker_that_drains(name: str, tmp_path: Path) -> None:
    """A worker that is recycled still answers on connections it has; there it takes no new conversation."""
    with Instance(SERVERS[name], tmp_path) as instance:
        instance.wait_until_ready()
        with Call(instance.port) as kept:
            old = int(kept.send("GET", "/").read().body)
            instance.signal(signal.SIGHUP)
            instance.wait_until(lambda: old in instance.marks("on-drain"), why="the old worker drains")
            upgrade = {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version": "13",
            }
            assert refused(kept.send("GET", "/ws", headers=upgrade))
        eventually(lambda: get(instance.port, "/readyz").status == 200)


def refused(call: Call) -> bool:
    """Whether a handshake ends in 403 or 503, or in the end of the connection before a byte."""
    try:
        return call.head().status in (403, 503)
    except (OSError, HTTPException):
        return True
