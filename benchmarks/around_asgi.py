"""Who stands around an ASGI application in the benchmark, and how a request goes through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from importlib.util import find_spec
from time import thread_time
from typing import Any

from benchmarks.paired import Contestant, Lap
from benchmarks.surroundings import HEADERS, ZDLIFE, lifecycle, meter_provider

from zdlife import Lifecycle
from zdlife.asgi import LifecycleMiddleware

Scope = MutableMapping[str, Any]
ASGIApp = Callable[[Scope, Any, Any], Awaitable[None]]

SCOPE: Scope = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "root_path": "",
    "headers": [(name.encode(), value.encode()) for name, value in HEADERS.items()],
    "client": ("127.0.0.1", 50_000),
    "server": ("127.0.0.1", 8000),
    "state": {},
}


async def smallest_asgi(scope: Scope, receive: Any, send: Any) -> None:
    """Answer with the two messages every response has."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def starlette_app() -> ASGIApp:
    """Return a small application of Starlette's."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/", page)])


def with_base_http_middleware(app: ASGIApp) -> ASGIApp:
    """Return the application inside a BaseHTTPMiddleware that passes everything on."""
    from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
    from starlette.requests import Request
    from starlette.responses import Response

    class PassOn(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

    return PassOn(app)


def with_opentelemetry_asgi(app: ASGIApp) -> ASGIApp:
    """Return the application with OpenTelemetry's metrics and no spans."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.trace import NoOpTracerProvider

    instrumented: ASGIApp = OpenTelemetryMiddleware(
        app, tracer_provider=NoOpTracerProvider(), meter_provider=meter_provider()
    )
    return instrumented


def asgi_lap(runner: asyncio.Runner, app: ASGIApp) -> Lap:
    """Return what sends requests through `app`, one after another, in one task of the runner's loop."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    async def lap(count: int) -> float:
        began = thread_time()
        for _ in range(count):
            await app(dict(SCOPE), receive, send)
        return thread_time() - began

    return lambda count: runner.run(lap(count))


async def hold_asgi(life: Lifecycle, count: int) -> list[asyncio.Task[None]]:
    """Return tasks that keep `count` requests in flight for as long as they live."""
    forever = asyncio.Event()

    async def wait(scope: Scope, receive: Any, send: Any) -> None:
        await forever.wait()

    async def one() -> None:
        await LifecycleMiddleware(wait, life)(dict(SCOPE), None, None)  # type: ignore[arg-type]  # never called

    tasks = [asyncio.create_task(one()) for _ in range(count)]
    await asyncio.sleep(0)  # each of them runs until it waits
    assert len(life.inflight) == count
    return tasks


@contextmanager
def asgi_contestants(app: ASGIApp, *, levels: Iterable[int]) -> Iterator[list[Contestant]]:
    """Yield everyone who stands around `app`, the bare one first."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        found = [Contestant("bare", asgi_lap(runner, app))]
        tasks = []
        for level in levels:
            for name, workers in ZDLIFE.items():
                life = lifecycle(workers=workers, loop=loop)
                tasks += runner.run(hold_asgi(life, level - 1))
                found.append(Contestant(name, asgi_lap(runner, LifecycleMiddleware(app, life)), level))
        if find_spec("starlette"):
            found.append(Contestant("BaseHTTPMiddleware", asgi_lap(runner, with_base_http_middleware(app))))
        if find_spec("opentelemetry.instrumentation.asgi"):
            found.append(Contestant("OpenTelemetry metrics", asgi_lap(runner, with_opentelemetry_asgi(app))))
        yield found
        for task in tasks:
            task.cancel()
