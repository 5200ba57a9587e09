"""Says which processes answer: the parent, and the worker."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from zdlife import Lifecycle
from zdlife.asgi import LifecycleMiddleware as AsgiMiddleware
from zdlife.wsgi import LifecycleMiddleware as WsgiMiddleware


def _who() -> bytes:
    return f"{os.getppid()} {os.getpid()}".encode()


def _wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [_who()]


async def _asgi(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["type"] != "http":
        raise RuntimeError("HTTP only")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": _who()})


_life = Lifecycle()
wsgi = WsgiMiddleware(_wsgi, _life)
asgi = AsgiMiddleware(_asgi, _life)
