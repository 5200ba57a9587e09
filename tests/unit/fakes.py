"""What stands in for a server and its protocol where a test has no socket: `FakeServer`, `Client` and the ASGI ends."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

from support import eventually
from zdlife import Lifecycle, Phase, Release, Settings
from zdlife.machine.budget import ServerDeadline
from zdlife.machine.phases import Event

RELEASE = Release("shop", "1.4", "shop-7", "test")
lives: list[Lifecycle] = []
"""The lives that the running test has begun; `conftest.py` ends them."""
STOP_SIGNALS = {signal.SIGTERM: Event.TERM, signal.SIGINT: Event.INTERRUPT}


class FakeServer:
    """A server that keeps what it is told and does nothing of it by itself; a `zdlife.process.host.Host`."""

    def __init__(self, *, conducted: bool = False, alone: bool = True) -> None:
        self.name = "fake"
        self.conducted = conducted
        self.alone = alone
        self.owns_process = False
        self.deadline: ServerDeadline | None = None
        self.told: list[str] = []
        self.patience = inf
        self.queue = 0
        self.connections = 0
        self.means_of: Callable[[Event], tuple[Event, ...]] = lambda event: (event,)
        self.decisions: list[Event] = []
        self._post: Callable[[Event], None] | None = None

    def signal(self, signum: int) -> None:
        """Be signalled, as by the platform."""
        assert self._post is not None
        self._post(STOP_SIGNALS[signal.Signals(signum)])

    def take_signals(self, post: Callable[[Event], None]) -> None:
        self._post = post

    def means(self, event: Event) -> tuple[Event, ...]:
        return self.means_of(event)

    def leave_listener(self, *, whole_instance: bool) -> None:
        self.told.append("leave the listener" if whole_instance else "leave the listener to the others")

    def queue_is_empty(self) -> bool:
        return self.queue == 0

    def lingered(self) -> bool:
        return self.connections == 0

    def reassure(self) -> None:
        self.told.append("alive")

    def hand_over(self) -> None:
        self.told.append("stop")

    def force(self) -> None:
        self.told.append("quit")

    def look(self) -> tuple[Event, ...]:
        return (self.decisions.pop(),) if self.decisions else ()


def life_of(**settings: Any) -> Lifecycle:
    """Return a lifecycle that nobody runs yet: a settle that lasts, unless `settings` say otherwise."""
    usual = {"settle": 60.0, "settle_max": 60.0, "drain": 60.0, "cleanup": 5.0, "grace": 600.0}
    life = Lifecycle(Settings(**(usual | settings)), release=RELEASE)
    lives.append(life)
    return life


def bring_to(phase: Phase, life: Lifecycle, server: FakeServer | None = None) -> FakeServer:
    """Have `life` run under `server` and come to `phase` by what the platform and the server do; return the server."""
    server = server or FakeServer()
    life.begin(server)
    if phase is not Phase.STARTING:
        life.loaded()
        reach(Phase.READY, life)
    if phase.leaving:
        server.signal(signal.SIGTERM)
        reach(Phase.SETTLING, life)
    if phase is Phase.DRAINING:
        server.queue = 1  # So that it stays there.
        server.signal(signal.SIGINT)
        reach(Phase.DRAINING, life)
    assert life.phase is phase, f"a life is not brought to {phase} here"
    return server


def reach(phase: Phase, life: Lifecycle) -> None:
    """Wait until `life` is in `phase`."""
    eventually(lambda: life.phase is phase, why=f"the phase is {phase}")


def records(report: Path, kind: str = "shutdown") -> list[dict[str, Any]]:
    """Return the records of one kind in the file `report`, or nothing while it is not there."""
    found = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    return [record for record in found if record["kind"] == kind]


class Connection:
    """The server's side of one ASGI call: what the application receives, and what it sent."""

    def __init__(self, *received: dict[str, Any]) -> None:
        self.sent: list[dict[str, Any]] = []
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in received:
            self.inbox.put_nowait(message)

    async def receive(self) -> dict[str, Any]:
        return await self.inbox.get()

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))

    @property
    def types(self) -> list[str]:
        """What was sent, by type."""
        return [message["type"] for message in self.sent]

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent if message["type"] == "http.response.body")


def http_scope(path: str = "/", **more: Any) -> dict[str, Any]:
    """Return the scope of a GET request over HTTP/1.1."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.org")],
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 80),
        **more,
    }


def websocket_scope(path: str = "/feed", **more: Any) -> dict[str, Any]:
    """Return the scope of a WebSocket handshake."""
    scope = http_scope(path, type="websocket", scheme="ws", subprotocols=[], **more)
    del scope["method"]
    return scope


def environ(path: str = "/", **more: Any) -> dict[str, Any]:
    """Return the WSGI environ of a GET request that `wsgiref.validate` accepts."""
    from wsgiref.util import setup_testing_defaults

    made: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "192.0.2.1"}
    setup_testing_defaults(made)
    return {**made, **more}
