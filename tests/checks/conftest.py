"""Servers for the checks to ask: real ones, and some that are nothing of the kind."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.services import PostgreSQL, RedisServer


@pytest.fixture
def run() -> Callable[[Callable[[], Any]], Any]:
    """Runs a check once, in an event loop of its own if it is async, and returns what it returns."""

    def run(check: Callable[[], Any]) -> Any:
        return asyncio.run(check()) if inspect.iscoroutinefunction(check) else check()

    return run


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts a Redis server with these arguments of its own."""
    with contextlib.ExitStack() as running:
        numbers = iter(range(10))

        def start(*arguments: str) -> RedisServer:
            return running.enter_context(RedisServer(tmp_path / f"redis-{next(numbers)}", *arguments))

        yield start


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """A PostgreSQL that every test leaves running."""
    with PostgreSQL(tmp_path_factory.mktemp("postgresql")) as running:
        yield running


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port on which nobody listens, and which nobody else is given."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def server_that() -> Iterator[Callable[..., int]]:
    """Serves on the port it returns: to whatever it reads it `says` these bytes, or nothing, and then `closes`."""
    with contextlib.ExitStack() as serving:

        def serve(*, says: bytes | None = None, closes: bool = False) -> int:
            listener = serving.enter_context(socket.create_server(("127.0.0.1", 0)))
            kept: list[socket.socket] = []

            def answer(connection: socket.socket) -> None:
                with contextlib.suppress(OSError):
                    while connection.recv(65536):
                        if says is not None:
                            connection.sendall(says)
                        if closes:
                            return connection.close()

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        kept.append(connection)
                        threading.Thread(target=answer, args=(connection,), daemon=True).start()

            def end() -> None:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                accepting.join(5)
                for connection in kept:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                    connection.close()

            accepting = threading.Thread(target=accept, daemon=True)
            accepting.start()
            serving.callback(end)
            return listener.getsockname()[1]

        yield serve
