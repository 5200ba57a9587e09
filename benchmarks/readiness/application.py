"""The application whose probes are measured: `asgi` and `wsgi`, with zdlife around them.

/block?SECONDS keeps its worker waiting; /burn?SECONDS keeps it computing, in Python, for so long of processor time.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import sleep, thread_time
from typing import Any

import zdlife.asgi
import zdlife.wsgi
from zdlife import Lifecycle

life = Lifecycle()


def keep_busy(path: str, query: str) -> bytes:
    """Do what the request asks for."""
    if path == "/block":
        sleep(float(query))
    if path == "/burn":
        until = thread_time() + float(query)
        while thread_time() < until:
            sum(number * number for number in range(100))
    return b"done\n"


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Keep the event loop busy, and answer."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = keep_busy(scope["path"], scope["query_string"].decode())
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def plain_wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Keep the worker busy, and answer."""
    body = keep_busy(environ["PATH_INFO"], environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


asgi = zdlife.asgi.LifecycleMiddleware(plain_asgi, life)
wsgi = zdlife.wsgi.LifecycleMiddleware(plain_wsgi, life)
