"""A small application without a framework, in both shapes: what the rehearsal's own tests rehearse.

`bare_asgi` and `bare_wsgi` know nothing of zdlife; `asgi` and `wsgi` are the same with it. STALL_BREAK in the
environment makes it break in a way that a test wants: `import`, `never-ready`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import zdlife
from zdlife.asgi import LifecycleMiddleware
from zdlife.wsgi import LifecycleMiddleware as LifecycleMiddlewareWSGI

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

BROKEN = os.environ.get("STALL_BREAK", "")
SLOW, LINES, PAUSE = 0.3, 20, 0.1

if BROKEN == "import":
    print("the stall is closed today", file=sys.stderr)
    raise RuntimeError("no bread")


async def bare_asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer `/`, `/slow`, `/stream` and `/upload`, and hold a WebSocket at any path."""
    match scope["type"]:
        case "lifespan":
            await _lifespan(receive, send)
        case "websocket":
            await _socket(receive, send)
        case "http":
            await _answer(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _socket(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message.get("text") or ""})


async def _answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    status = 503 if BROKEN == "never-ready" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    if scope["path"] == "/stream":
        for number in range(LINES):
            await send({"type": "http.response.body", "body": b"line %d\n" % number, "more_body": True})
            await asyncio.sleep(PAUSE)
        await send({"type": "http.response.body", "body": b"the end\n"})
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(SLOW)
    await send({"type": "http.response.body", "body": b"%d bytes\n" % size})


def bare_wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer `/`, `/slow`, `/stream` and `/upload`."""
    size = 0
    while part := environ["wsgi.input"].read(65_536):
        size += len(part)
    start_response("503 Never" if BROKEN == "never-ready" else "200 OK", [("content-type", "text/plain")])
    if environ["PATH_INFO"] == "/stream":
        return _lines()
    if environ["PATH_INFO"] == "/slow":
        time.sleep(SLOW)
    return [b"%d bytes\n" % size]


def _lines() -> Iterator[bytes]:
    for number in range(LINES):
        yield b"line %d\n" % number
        time.sleep(PAUSE)
    yield b"the end\n"


asgi = LifecycleMiddleware(bare_asgi, zdlife.Lifecycle())
wsgi = LifecycleMiddlewareWSGI(bare_wsgi, zdlife.Lifecycle())
