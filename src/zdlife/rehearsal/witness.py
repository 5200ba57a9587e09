"""The application's half of the ledger: a line when a request begins, and one when its last byte is with the server.

It stands in front of the application, inside the instances, and is named as the server's target:
`zdlife.rehearsal.witness:asgi` or `:wsgi`. It touches only requests that carry `x-rehearsal-id`, and nothing of what
they are made of; the rest (probes, lifespan, WebSockets) passes untouched. Standard library only, since a bare
application is witnessed as well.

A line is `B <unix time> <id> <pid>` or `D <unix time> <id> <status>`. All processes of an instance append to one file:
so short an append is never torn or interleaved (write(2) with O_APPEND).
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    ASGIApplication = Callable[[Message, Receive, Send], Awaitable[None]]

HEADER = b"x-rehearsal-id"
LAST_BODY = frozenset({"http.response.pathsend", "http.response.zerocopysend"})


class Ledger:
    """An append-only file of what the application did; safe from any thread and any forked process."""

    def __init__(self, file: str) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def begun(self, id: str) -> None:
        """Record that the application has been given the request, in this process."""
        os.write(self._descriptor, f"B {time.time():.6f} {id} {os.getpid()}\n".encode())

    def done(self, id: str, status: int) -> None:
        """Record that the server has been given the response's last byte."""
        os.write(self._descriptor, f"D {time.time():.6f} {id} {status}\n".encode())


class WitnessASGI:
    """An ASGI application and its ledger."""

    def __init__(self, app: ASGIApplication, ledger: Ledger) -> None:
        self.app = app
        self.ledger = ledger

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Run the application, witnessed for a request of the rehearsal."""
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                if name == HEADER:
                    await self._witnessed(value.decode("latin-1"), scope, receive, send)
                    return
        await self.app(scope, receive, send)

    async def _witnessed(self, id: str, scope: Message, receive: Receive, send: Send) -> None:
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            await send(message)
            kind = message["type"]
            if kind == "http.response.start":
                status = message["status"]
            elif kind in LAST_BODY or (kind == "http.response.body" and not message.get("more_body", False)):
                self.ledger.done(id, status)

        self.ledger.begun(id)
        await self.app(scope, receive, watched)


class WitnessWSGI:
    """A WSGI application and its ledger."""

    def __init__(self, app: WSGIApplication, ledger: Ledger) -> None:
        self.app = app
        self.ledger = ledger

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Return the application's own response, witnessed for a request of the rehearsal."""
        id = environ.get("HTTP_X_REHEARSAL_ID")
        if id is None:
            return self.app(environ, start_response)
        status = 0

        def watched(line: str, *rest: Any) -> Callable[[bytes], object]:
            nonlocal status
            status = int(line[:3])
            return start_response(line, *rest)

        def done() -> None:
            self.ledger.done(id, status)

        self.ledger.begun(id)
        response = self.app(environ, watched)
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(response, wrapper):
            file: Iterable[bytes] = _file(response, done)
            return file
        return Body(response, done)


class Body:
    """A response's body that says when it has been read to its end; `close` reaches the application's own."""

    def __init__(self, body: Iterable[bytes], done: Callable[[], None]) -> None:
        self._body = body
        self._done = done

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body
        self._done()

    def close(self) -> None:
        """Close the application's body, if it can be closed."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def _file(response: Any, done: Callable[[], None]) -> Any:
    """Return a server's own file wrapper as it was, since wrapping it would switch off sendfile.

    Its close is the end of the response, unless the server closes it on the way out of an exception.
    """
    close = getattr(response, "close", None)

    def closed() -> None:
        if sys.exc_info()[0] is None:
            done()
        if close is not None:
            close()

    response.close = closed
    return response


def load(target: str) -> Any:
    """Return what `module:name` names."""
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


# Servers look the name up in the module's namespace, hypercorn past any `__getattr__`. So what this module is for
# happens at its import, and only inside an instance.
if "REHEARSAL_APP" in os.environ:
    _app, _ledger = load(os.environ["REHEARSAL_APP"]), Ledger(os.environ["REHEARSAL_LEDGER"])
    asgi = WitnessASGI(_app, _ledger)
    wsgi = WitnessWSGI(_app, _ledger)
