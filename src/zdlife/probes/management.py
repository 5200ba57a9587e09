"""The management port: probes and a status page that are answered in a moment whatever the instance is doing.

Each worker listens on the port with SO_REUSEPORT and answers in a thread of its own, for the whole instance. The
application's workers may all be busy, or its event loop blocked: the thread needs the interpreter for a fraction of a
millisecond, and gets it as soon as it is its turn. That is at most the interpreter's switch interval, and several times
for one answer; Python's own is 5 ms, so a process with a management port has a shorter one (ZDLIFE_SWITCH_INTERVAL).

HTTP/1.1 is h11's. One answer a connection: probes make a new one each time, and a reader's browser does not mind.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, cast
from urllib.parse import parse_qs

from zdlife.errors import MissingExtra
from zdlife.lifecycle import Lifecycle
from zdlife.probes import facts
from zdlife.probes.access import Access
from zdlife.probes.answers import PROBES, Answer, answer, not_allowed
from zdlife.process.latch import Latch
from zdlife.process.listener import queued, stop_new_connections

try:
    import h11

    from zdlife.probes.page import REFRESH, render
except ImportError as missing:
    raise MissingExtra(missing.name or "h11", extra="management") from None

logger = logging.getLogger("zdlife.management")
PATIENCE = 5.0
"""Seconds that a client has to ask its question."""
LEFT_WITHIN = 0.25
QUIET_LOOKS = 3
BETWEEN_TRIES = 1.0
BETWEEN_COMPLAINTS = 60.0
MOST_CONNECTIONS = 256
BACKLOG = 128
ASKS = (b"GET", b"HEAD")


class Management:
    """The management port of one worker. `begin` is called in the process that serves, once its monitor runs."""

    def __init__(self, life: Lifecycle) -> None:
        self._life = life
        self._ending = Latch()
        self._ended = threading.Event()
        self._complained_at = -BETWEEN_COMPLAINTS
        self._host = ""
        self.port: int | None = None

    def begin(self) -> None:
        """Listen, and answer from now on; a port that cannot be had is one logged line, and the instance serves on."""
        if self.port is not None:
            return
        settings = self._life.settings
        self._host, self.port = settings.management_host, settings.management_port or 0
        try:
            listener = self._listen()
        except OSError as error:
            listener = None
            logger.error(  # noqa: TRY400  # where it was raised helps nobody
                "the management port %s:%d cannot be had: %s. Free it, or set ZDLIFE_MANAGEMENT_PORT to another; "
                "it is tried again every second.",
                self._host,
                self.port,
                error,
                extra={"zdlife": {"host": self._host, "port": self.port}},
            )
        sys.setswitchinterval(min(sys.getswitchinterval(), settings.switch_interval))
        threading.Thread(target=self._run, args=(listener,), name="zdlife-management", daemon=True).start()

    def _listen(self) -> socket.socket:
        """Return a listening socket that this instance's workers share with nobody else.

        Raises:
            OSError: it cannot be had.
        """
        board = self._life.board
        family, _, _, _, address = socket.getaddrinfo(self._host, self.port, type=socket.SOCK_STREAM)[0]
        with board.locked():
            if not board.managed and self._knows_its_siblings():
                # SO_REUSEPORT shares with any process of the same user: another instance would answer for this one.
                with socket.socket(family, socket.SOCK_STREAM) as trial:
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    trial.bind(address)
                    trial.listen(1)
            listener = socket.socket(family, socket.SOCK_STREAM)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                listener.bind(address)
                listener.listen(BACKLOG)
            except OSError:
                listener.close()
                raise
            board.manage()
        # A child of the application's would keep it, and with it the connections that the kernel sends there.
        os.register_at_fork(after_in_child=listener.close)
        return listener

    def _knows_its_siblings(self) -> bool:
        """Whether whoever else has the port is another instance; gunicorn's workers without the hooks can't tell."""
        life = self._life
        return life.presence.seat is not None or (life.host is not None and life.host.alone)

    def end(self) -> None:
        """Answer what has been asked, and leave the port to the siblings without resetting what is queued on it."""
        if self.port is not None:
            self._ending.open()
            self._ended.wait(2 * LEFT_WITHIN)

    def _run(self, listener: socket.socket | None) -> None:
        try:
            while listener is None:
                if self._ending.wait(BETWEEN_TRIES):
                    return
                with suppress(OSError):
                    listener = self._listen()
                    logger.info("the management port %s:%d is had now", self._host, self.port)
            # Not the loop that the process prefers: uvloop's transports are others.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._serve(listener))
        finally:
            self._ended.set()

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._complain)
        connections: dict[Conversation, None] = {}
        # One connection is accepted at a time: to find out that there is no other costs a turn of the interpreter.
        server = await loop.create_server(lambda: Conversation(self._life, connections), sock=listener, backlog=1)
        listener.listen(BACKLOG)
        await self._ending.wait_async()
        stop_new_connections(listener)
        until, quiet = loop.time() + LEFT_WITHIN, 0
        while quiet < QUIET_LOOKS and loop.time() < until:
            await asyncio.sleep(0.005)  # What the loop has accepted becomes a conversation a turn later.
            quiet = 0 if queued(listener) or connections else quiet + 1
        server.close()

    def _complain(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """Log what goes wrong in the loop, once a minute: without files left, asyncio says so again and again."""
        now = monotonic()
        if now - self._complained_at >= BETWEEN_COMPLAINTS:
            self._complained_at = now
            logger.error("the management port: %s", context.get("message"), exc_info=context.get("exception"))


class Conversation(asyncio.Protocol):
    """One connection, and the one question on it."""

    def __init__(self, life: Lifecycle, connections: dict[Conversation, None]) -> None:
        self._life = life
        self._connections = connections
        self._h11 = h11.Connection(our_role=h11.SERVER, max_incomplete_event_size=16_384)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._asked: h11.Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._connections) >= MOST_CONNECTIONS:
            # The oldest has had the most time; a probe that comes now is not to wait for it.
            next(iter(self._connections)).abort()
        self._connections[self] = None
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()

    def abort(self) -> None:
        """Drop the connection."""
        self._connections.pop(self, None)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._h11.receive_data(data)
            while True:
                event = self._h11.next_event()
                if isinstance(event, h11.Request):
                    self._asked = event
                if self._asked is not None and (isinstance(event, h11.EndOfMessage) or self._asked.method not in ASKS):
                    # What has a body is not allowed, and need not be waited for.
                    return self._send(respond(self._life, self._asked.method.decode(), self._asked.target.decode()))
                if isinstance(event, h11.Request):
                    continue
                if not isinstance(event, h11.Data):
                    return None
        except h11.RemoteProtocolError:
            self.abort()

    def _send(self, found: Answer) -> None:
        assert self._transport is not None
        headers = [*found.headers, ("connection", "close")]
        parts = (
            h11.Response(status_code=found.status, reason=found.status_line[4:].encode(), headers=headers),
            h11.Data(data=found.body),
            h11.EndOfMessage(),
        )
        with suppress(h11.LocalProtocolError):
            self._transport.write(b"".join(self._h11.send(part) or b"" for part in parts))
        self._transport.close()


def respond(life: Lifecycle, method: str, target: str) -> Answer:
    """Return the answer to a request on the management port; a caller there may be told everything."""
    path, _, query = target.partition("?")
    if path in PROBES:
        return answer(life, path, method, access=Access.EVERYTHING)
    if path not in ("/", "/status"):
        return _text(404, "There are /, /status, /livez, /readyz, /startupz and /version.", method)
    if method not in ("GET", "HEAD"):
        return not_allowed()
    try:
        if path == "/status":
            return _document(200, "application/json", json.dumps(facts.of(life), separators=(",", ":")), method)
        return _document(200, "text/html; charset=utf-8", render(facts.of(life), refresh=_refresh(query)), method)
    except Exception:  # Whatever a check or a route is called, the probes are answered.
        logger.exception("the status cannot be shown")
        return _text(500, "The status cannot be shown; the service's log says why.", method)


def _refresh(query: str) -> float:
    given = parse_qs(query).get("refresh", [""])[0]
    try:
        return min(3600.0, max(0.0, float(given)))
    except ValueError:
        return REFRESH


def _text(status: int, sentence: str, method: str) -> Answer:
    return _document(status, "text/plain; charset=utf-8", f"{sentence}\n", method)


def _document(status: int, media_type: str, text: str, method: str) -> Answer:
    body = text.encode()
    headers = (
        ("content-type", media_type),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    )
    return Answer(status, headers, b"" if method == "HEAD" else body)
