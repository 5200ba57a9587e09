"""The management port of one worker, asked over real connections."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from support import eventually
from support.arriving import free_port
from support.clients import Call, get
from unit.fakes import FakeServer, life_of, reach
from zdlife import Lifecycle, Phase
from zdlife.probes import attend, management
from zdlife.probes.management import Management, respond


@pytest.fixture
def life() -> Lifecycle:
    """A ready instance with a management port."""
    life = life_of(management_port=free_port())
    attend(life)
    life.check("db")(lambda: False)
    life.check("mail", kind="degrades")(lambda: None)
    life.begin(FakeServer())
    life.loaded()
    return life


@pytest.fixture
def port(life: Lifecycle) -> Iterator[int]:
    before = sys.getswitchinterval()
    (found,) = life.companions
    assert isinstance(found, Management)
    assert found.port is not None
    yield found.port
    found.end()
    sys.setswitchinterval(before)


def raw(port: int, sent: bytes) -> bytes:
    """Return everything that comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        received = b""
        try:
            while piece := client.recv(65_536):
                received += piece
        except ConnectionResetError:
            pass
        return received


def test_the_probes_are_answered_with_everything_there_is_to_know(port: int) -> None:
    found = get(port, "/readyz")

    assert (found.status, found.closes) == (503, True)
    eventually(lambda: json.loads(get(port, "/readyz").body)["checks"]["db"][0].get("output") == "it returned False")


@pytest.mark.parametrize("path", ["/livez", "/version", "/status", "/", "/?refresh=0", "/?refresh=x", "/status?x=1"])
def test_each_path_is_answered(path: str, port: int) -> None:
    found = get(port, path)

    assert found.status == 200
    assert found.headers["cache-control"] == "no-store"


def test_head_has_no_body(port: int) -> None:
    with Call(port) as call:
        call.send("HEAD", "/status")
        assert raw(port, b"HEAD /status HTTP/1.1\r\nhost: x\r\n\r\n").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", 404, id="asterisk"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", 405, id="post"),
        pytest.param(b"POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 405, id="post-to-a-probe"),
        pytest.param(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n", 404, id="not-there"),
        pytest.param(b"GET /livez HTTP/1.0\r\n\r\n", 200, id="http-1.0"),
        pytest.param(b"GET //[bad/livez HTTP/1.1\r\nhost: x\r\n\r\n", 404, id="no-url"),
        pytest.param(
            b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n", 200, id="pipelined"
        ),
        pytest.param(
            b"GET /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            200,
            id="chunked",
        ),
    ],
)
def test_whatever_is_asked_is_answered_once(sent: bytes, status: int, port: int) -> None:
    answer = raw(port, sent)

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="tls"),
        pytest.param(b"GET\r\n\r\n", id="no-request"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 400_000, id="endless-header"),
        pytest.param(b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n", id="nul"),
    ],
)
def test_what_is_no_http_is_dropped_and_the_next_one_answered(sent: bytes, port: int) -> None:
    assert not raw(port, sent).startswith(b"HTTP/1.1 200")
    assert get(port, "/livez").status == 200


def test_a_client_that_never_asks_is_dropped(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "PATIENCE", 0.2)

    assert raw(port, b"GET / HTTP/1.1\r\n") == b""


def test_many_that_never_ask_keep_nobody_out(port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(3 * management.MOST_CONNECTIONS)]
    try:
        assert get(port, "/livez").status == 200
    finally:
        for client in idle:
            client.close()


def test_the_thread_gets_the_interpreter_soon(port: int) -> None:
    assert sys.getswitchinterval() <= 0.0005 + 1e-6


def test_a_shorter_interval_of_the_services_own_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    life = life_of(management_port=free_port())
    found = Management(life)
    found.begin()
    assert sys.getswitchinterval() == pytest.approx(0.0001, rel=0.1)

    found.end()
    sys.setswitchinterval(before)


def test_a_port_that_is_taken_is_one_line_and_the_instance_serves_on(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        life = life_of(management_port=port)
        attend(life)
        life.begin(FakeServer())
        life.loaded()
        reach(Phase.READY, life)

    (said,) = [record for record in caplog.records if "management port" in record.getMessage()]
    assert f"127.0.0.1:{port} cannot be had" in said.getMessage()
    assert "ZDLIFE_MANAGEMENT_PORT" in said.getMessage()


def test_it_is_begun_once(life: Lifecycle, port: int) -> None:
    attend(life)
    assert len(life.companions) == 1
    life.companions[0].begin()

    assert get(port, "/livez").status == 200


def test_without_a_port_there_is_none() -> None:
    life = life_of()
    attend(life)

    assert life.companions == []


def test_facts_that_cannot_be_put_together_are_one_line(
    life: Lifecycle, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(management.facts, "of", broken)
    for path in ("/", "/status"):
        found = respond(life, "GET", path)
        assert (found.status, b"secret" in found.body) == (500, False)
    assert get(port, "/livez").status == 200
    assert any("cannot be shown" in record.getMessage() for record in caplog.records)


def test_it_is_gone_once_it_has_ended(life: Lifecycle, port: int) -> None:
    life.companions[0].end()

    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
