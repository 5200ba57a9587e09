"""The ASGI middleware: probes answered, requests counted, connections told to close while leaving."""

from __future__ import annotations

import asyncio
import logging
from asyncio import current_task
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from zdlife.errors import WrongUse
from zdlife.lifecycle import Lifecycle
from zdlife.longlived.websockets import OpenSockets
from zdlife.machine.phases import Phase
from zdlife.probes import attend
from zdlife.probes.access import access
from zdlife.probes.answers import answer, probe_path
from zdlife.servers import around_asgi, around_import

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("zdlife.asgi")
CLOSE = (b"connection", b"close")


class LifecycleMiddleware:
    """Wraps an ASGI application so that its instance can be replaced; put it outermost.

    A request is in flight from its first byte to the return of the application, which is after the last byte was
    given to the server and after Starlette's background tasks. Streams and request bodies pass through untouched.
    Safe for any number of tasks in one event loop per process.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self.app = app
        self.lifecycle = lifecycle
        self._inflight = lifecycle.inflight
        self._sockets = OpenSockets()
        self._enabled = lifecycle.settings.enabled
        self._begun = False
        if self._enabled:
            attend(lifecycle)
            around_import(lifecycle)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._enabled:
            return await self.app(scope, receive, send)
        kind = scope["type"]
        if kind == "lifespan":
            return await self._lifespan(scope, receive, send)
        if not self._begun:
            self._begin()
            self.lifecycle.loaded()
        if kind == "http":
            probe = probe_path(scope["path"], scope.get("root_path", ""))
            if probe is not None:
                return await self._probe(probe, scope, send)
            return await self._request(scope, receive, send)
        if kind == "websocket":
            return await self._websocket(scope, receive, send)
        return await self.app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        life = self.lifecycle
        if life.leaving:
            life.arrived_late(scope, _peer(scope))

        async def send_or_close(message: Message) -> None:
            if message["type"] == "http.response.start" and life.leaving:
                message = {**message, "headers": _closing(message.get("headers", ()), scope)}
            await send(message)

        token = self._inflight.begin("request", scope, current_task())
        try:
            await self.app(scope, receive, send_or_close)
        finally:
            self._inflight.end(token)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        life = self.lifecycle
        if life.phase.leaving and life.phase is not Phase.SETTLING:
            life.arrived_late(scope, _peer(scope))
            return await _refuse(scope, receive, send)
        token = self._inflight.begin("websocket", scope, current_task())
        try:
            await self._sockets.hold(self.app, scope, receive, send)
        finally:
            self._inflight.end(token)

    async def _probe(self, probe: str, scope: Scope, send: Send) -> None:
        allowed = access(peer=_peer(scope), header=partial(_header, scope), token=self.lifecycle.settings.details_token)
        found = answer(self.lifecycle, probe, scope["method"], access=allowed)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found.headers]
        if self.lifecycle.leaving:
            headers = _closing(headers, scope)
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        await send({"type": "http.response.body", "body": found.body})

    def _begin(self) -> None:
        """Start living in this process and this loop: at the lifespan's start, or at the first request without one."""
        self._begun = True
        life = self.lifecycle
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise WrongUse(
                "zdlife runs in asyncio's event loops only: run hypercorn with -k asyncio or uvloop."
            ) from None
        life.goodbyes.append(lambda: self._sockets.say_goodbye(loop))
        around_asgi(life, loop)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        life = self.lifecycle
        if not self._begun:
            try:
                self._begin()
            except Exception as error:
                # Not to be let out: servers take an exception here for an application without a lifespan, and serve.
                logger.exception("the lifecycle cannot begin")
                await receive()
                await send({"type": "lifespan.startup.failed", "message": f"zdlife: {error}"})
                return

        failed: list[bool] = []

        async def receive_or_clean_up() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await life.finish_hooks()
            return message

        async def send_and_note(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                life.waits_for_lifespan = True
                life.loaded()
                await life.until_warm()
            elif message["type"] == "lifespan.startup.failed":
                failed.append(True)
            elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await life.finish_async()
            await send(message)

        try:
            await self.app(scope, receive_or_clean_up, send_and_note)
            if not failed:
                life.loaded()  # One that returns and has said nothing serves all the same.
        except Exception:
            life.waits_for_lifespan = False
            if life.phase is not Phase.STARTING:
                raise
            # The application knows no lifespan, which servers learn from this exception; it serves all the same.
            life.loaded()
            raise


def _header(scope: Scope, name: str) -> str | None:
    """Return one header of a request, or None."""
    wanted = name.encode("latin-1")
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted), None)


def _peer(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _closing(headers: Any, scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return `headers` with `Connection: close`; HTTP/2 and later have no such header and their server says GOAWAY."""
    if not scope.get("http_version", "1.1").startswith("1"):
        return list(headers)
    return [*((name, value) for name, value in headers if name.lower() != b"connection"), CLOSE]


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket before it is accepted: 503 where the server can say so, its own refusal elsewhere."""
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        headers = [(b"retry-after", b"1"), (b"content-length", b"0"), CLOSE]
        await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1012, "reason": "this instance is being replaced"})
