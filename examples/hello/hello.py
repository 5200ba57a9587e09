"""The smallest service with zdlife, as an ASGI and as a WSGI application; neither needs a framework.

uvicorn hello:asgi
gunicorn -c python:zdlife.gunicorn hello:wsgi
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import zdlife.asgi
import zdlife.wsgi
from zdlife import Lifecycle

life = Lifecycle()


async def hello_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Greet over ASGI. It leaves the lifespan alone, as small applications do."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"hello from {life.release.version}\n".encode()})


def hello_wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Greet over WSGI."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"hello from {life.release.version}\n".encode()]


@life.on_stop
def say_so() -> None:
    """Runs when nothing is in flight any more."""
    print("hello: everything is finished", flush=True)


asgi = zdlife.asgi.LifecycleMiddleware(hello_asgi, life)
wsgi = zdlife.wsgi.LifecycleMiddleware(hello_wsgi, life)
