"""The WSGI middleware: probes answered, requests counted until their last byte, connections told to close."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from threading import get_ident
from typing import Any

from zdlife.lifecycle import Lifecycle
from zdlife.probes import attend
from zdlife.probes.access import access
from zdlife.probes.answers import PROBES, answer
from zdlife.process.inflight import InFlight
from zdlife.servers import around_import, around_wsgi

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class LifecycleMiddleware:
    """Wraps a WSGI application so that its instance can be replaced; put it outermost.

    A request is in flight from the call to the `close()` of its body, which PEP 3333 promises after the last byte,
    errors and clients that left included. Safe for any number of threads. Files sent through `wsgi.file_wrapper` are
    still sent by the server's own means.
    """

    def __init__(self, app: WSGIApp, lifecycle: Lifecycle) -> None:
        self.app = app
        self.lifecycle = lifecycle
        self._inflight = lifecycle.inflight
        self._enabled = lifecycle.settings.enabled
        self._begun = False
        if self._enabled:
            attend(lifecycle)
            around_import(lifecycle)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not self._enabled:
            return self.app(environ, start_response)
        life = self.lifecycle
        if not self._begun:
            self._begun = True
            around_wsgi(life)
        if environ.get("PATH_INFO") in PROBES:
            allowed = access(
                peer=environ.get("REMOTE_ADDR"), header=partial(_header, environ), token=life.settings.details_token
            )
            found = answer(life, environ["PATH_INFO"], environ["REQUEST_METHOD"], access=allowed)
            start_response(found.status_line, list(found.headers))
            return [found.body]
        if life.leaving:
            life.arrived_late(environ, environ.get("REMOTE_ADDR"))
        token = self._inflight.begin("request", environ, get_ident())
        try:
            body = self.app(environ, start_response)
        except BaseException:
            self._inflight.end(token)
            raise
        if type(body) is environ.get("wsgi.file_wrapper") and _count_file(body, self._inflight, token):
            return body
        counted = SizedBody if hasattr(body, "__len__") else Body
        return counted(body, self._inflight, token)


def _header(environ: Environ, name: str) -> str | None:
    """Return one header of a request, or None."""
    found: str | None = environ.get("HTTP_" + name.upper().replace("-", "_"))
    return found


class Body:
    """A response body that is in flight until it is closed. Iterating it costs nothing more than the body's own."""

    __slots__ = ("_body", "_inflight", "_token")

    def __init__(self, body: Iterable[bytes], inflight: InFlight, token: int) -> None:
        self._body = body
        self._inflight = inflight
        self._token = token

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Close the body, and count the request out whatever that does."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._inflight.end(self._token)


class SizedBody(Body):
    """A body that knows of how many parts it is: a server may frame one of a single part by it (PEP 3333)."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # made only for bodies with a length


def _count_file(file: Any, inflight: InFlight, token: int) -> bool:
    """Have the server's own file object counted out at its close; a wrapper of ours would cost it sendfile.

    Returns False, changing nothing, where the server lets nobody change it (one written in C).
    """
    close = getattr(file, "close", None)

    def close_and_count() -> None:
        try:
            if close is not None:
                close()
        finally:
            inflight.end(token)

    try:
        file.close = close_and_count
    except AttributeError:
        return False
    return True
