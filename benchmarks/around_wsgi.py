"""Who stands around a WSGI application in the benchmark, and how a request goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from time import thread_time
from typing import Any

from benchmarks.paired import Contestant, Lap
from benchmarks.surroundings import HEADERS, ZDLIFE, lifecycle, meter_provider

from zdlife import Lifecycle
from zdlife.wsgi import LifecycleMiddleware

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "50000",
    **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()},
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.input": BytesIO(),
    "wsgi.errors": None,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def smallest_wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer with a body of one part."""
    start_response("200 OK", [("content-length", "2")])
    return [b"ok"]


def flask_app() -> WSGIApp:
    """Return a small application of Flask's."""
    from flask import Flask

    app = Flask("benchmark")

    @app.get("/")
    def page() -> str:
        return "ok"

    return app


def with_opentelemetry_wsgi(app: WSGIApp) -> WSGIApp:
    """Return the application with OpenTelemetry's metrics and no spans."""
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
    from opentelemetry.trace import NoOpTracerProvider

    instrumented: WSGIApp = OpenTelemetryMiddleware(
        app, tracer_provider=NoOpTracerProvider(), meter_provider=meter_provider()
    )
    return instrumented


def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
    """Take the head of a response and do nothing with it."""
    return lambda _: None


def wsgi_lap(app: WSGIApp) -> Lap:
    """Return what sends requests through `app`, one after another, and reads and closes each response."""

    def lap(count: int) -> float:
        began = thread_time()
        for _ in range(count):
            body = app(dict(ENVIRON), start_response)
            for _ in body:
                pass
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return thread_time() - began

    return lap


def hold_wsgi(life: Lifecycle, count: int) -> list[Iterable[bytes]]:
    """Return `count` responses that nobody has closed."""
    middleware = LifecycleMiddleware(smallest_wsgi, life)
    return [middleware(dict(ENVIRON), start_response) for _ in range(count)]


@contextmanager
def wsgi_contestants(app: WSGIApp, *, levels: Iterable[int]) -> Iterator[list[Contestant]]:
    """Yield everyone who stands around `app`, the bare one first."""
    found = [Contestant("bare", wsgi_lap(app))]
    held = []
    for level in levels:
        for name, workers in ZDLIFE.items():
            life = lifecycle(workers=workers)
            held.append(hold_wsgi(life, level - 1))
            found.append(Contestant(name, wsgi_lap(LifecycleMiddleware(app, life)), level))
    if find_spec("opentelemetry.instrumentation.wsgi"):
        found.append(Contestant("OpenTelemetry metrics", wsgi_lap(with_opentelemetry_wsgi(app))))
    yield found
