"""An ASGI application without a framework: `app` lives with zdlife, `bare` without."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import parse_qs

from plain import PART, PARTS, hooks, is_open, mark, receipt, wait_at


async def pass_gate(gate: str) -> None:
    mark(f"at-{gate}")
    while not is_open(gate):
        await asyncio.sleep(0.01)


async def bare(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["type"] == "websocket":
        return await echo(receive, send)
    gate = parse_qs(scope["query_string"].decode()).get("gate", [""])[0]
    match scope["path"]:
        case "/":
            await respond(send, str(os.getpid()).encode())
        case "/hold":
            await pass_gate(gate)
            await respond(send, b"held")
        case "/block":
            wait_at(gate)
            await respond(send, b"blocked")
        case "/pause":
            await asyncio.sleep(0.05)
            await respond(send, b"paused")
        case "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for number in range(PARTS):
                if number == PARTS // 2:
                    await pass_gate(gate)
                await send({"type": "http.response.body", "body": PART, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        case "/upload":
            body, more = b"", True
            mark("at-upload")
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
            await respond(send, receipt(body))
        case _:
            await respond(send, b"not here", status=404)


async def respond(send, body, *, status=200):
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    await receive()
    mark("lifespan-startup")
    if os.environ.get("TEST_HOLD_STARTUP"):
        await pass_gate("startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    mark("lifespan-shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def echo(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


if not os.environ.get("TEST_BARE"):
    from zdlife import Lifecycle
    from zdlife.asgi import LifecycleMiddleware

    life = Lifecycle()
    hooks(life)
    app = LifecycleMiddleware(bare, life)
