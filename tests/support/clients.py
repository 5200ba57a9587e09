"""Clients for tests that need to say exactly what goes over the wire, and when."""

from __future__ import annotations

import http.client
import select
import socket
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Response:
    """One whole response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the server says that the connection ends with this response."""
        return self.headers.get("connection", "").lower() == "close"


class Call:
    """One connection, on which requests are sent and responses are read whenever the test says so.

    It never closes its side before `close`, whatever the server says.
    """

    def __init__(self, port: int, *, timeout: float = TIMEOUT) -> None:
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._response: http.client.HTTPResponse | None = None

    def send(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Self:
        """Send a request's head, and as much of its body as is given here."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return self

    def more(self, body: bytes) -> Self:
        """Send more of the request's body."""
        self.socket.sendall(body)
        return self

    def head(self) -> http.client.HTTPResponse:
        """Return the response as soon as its head is there, its body still to be read."""
        if self._response is None:
            self._response = http.client.HTTPResponse(self.socket)
            self._response.begin()
        return self._response

    def read(self) -> Response:
        """Return the whole response.

        Raises:
            http.client.HTTPException: it is no whole response.
            OSError: the connection broke, or nothing came in time.
        """
        response = self.head()
        try:
            body = response.read()
            # A response that ends with its connection has an end only if the server meant it.
            return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
        finally:
            response.close()
            self._response = None

    @property
    def silent(self) -> bool:
        """Whether there is nothing to read: no byte, no end, no error."""
        return not select.select([self.socket], [], [], 0)[0]

    def close(self) -> None:
        """Close this side."""
        if self._response is not None:
            self._response.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def get(port: int, path: str, *, headers: Mapping[str, str] | None = None, timeout: float = TIMEOUT) -> Response:
    """Return the response to one GET on a new connection."""
    with Call(port, timeout=timeout) as call:
        return call.send("GET", path, headers=headers).read()


@dataclass
class Load:
    """Clients that ask again and again until the block ends; every request ends in `ok` or in `failures`.

    `fresh` of them make a new connection for each request. `kept` of them keep theirs: they honour `Connection: close`
    and look for a closed connection before they ask on it again. A request that dies on a reused connection counts as
    failed as any other: it was sent. Nobody tries twice.
    """

    port: int
    path: str = "/"
    method: str = "GET"
    fresh: int = 6
    kept: int = 8
    pause: float = 0.02
    ok: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask, args=(keeps,), daemon=True)
            for keeps in [False] * self.fresh + [True] * self.kept
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT)
            assert not thread.is_alive(), "a client hangs"

    @property
    def sent(self) -> int:
        """How many requests have ended, well or badly."""
        return self.ok + self.failures.total()

    def _ask(self, keeps: bool) -> None:
        call: Call | None = None
        while not self._over.wait(self.pause):
            if call is not None and not call.silent:  # The server has closed it meanwhile.
                call.close()
                call = None
            reused = call is not None
            try:
                call = call or Call(self.port)
                headers = {"Content-Length": "0"} if self.method == "POST" else None
                response = call.send(self.method, self.path, headers=headers).read()
                failure = None if response.status == 200 else f"status {response.status}"
                keeps_this = keeps and not response.closes
            except (OSError, http.client.HTTPException) as error:
                failure, keeps_this = f"{type(error).__name__} on a {'reused' if reused else 'new'} connection", False
            with self._lock:
                if failure is None:
                    self.ok += 1
                else:
                    self.failures[failure] += 1
            if call is not None and not keeps_this:
                call.close()
                call = None
        if call is not None:
            call.close()
