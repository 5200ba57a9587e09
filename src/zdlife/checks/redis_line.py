"""A connection of its own to the server of a Redis client, with the client's settings and without its retries.

By default redis-py tries again for several seconds before it says that a connection was refused: longer than a check
may take, so that nobody would learn why it failed. And an exhausted pool says nothing of the server.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from zdlife.checks.failure import address


def is_cluster(client: Any) -> bool:
    """Return whether the client speaks to a cluster, whose connections are its own business."""
    return hasattr(client, "get_primaries")


@contextmanager
def line(client: Any, patience: float) -> Iterator[Callable[..., Any]]:
    """Lend what sends one command and returns its reply; each wait takes at most `patience` seconds."""
    if is_cluster(client):
        yield client.execute_command
        return
    connection = _connection(client, patience)

    def ask(*command: str) -> Any:
        connection.send_command(*command)
        return connection.read_response()

    try:
        connection.connect()  # Or one of Sentinel's would not look for its master.
        yield ask
    finally:
        connection.disconnect()


@asynccontextmanager
async def line_async(client: Any, patience: float) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Lend the same of an asyncio client."""
    if is_cluster(client):
        yield client.execute_command
        return
    connection = _connection(client, patience)

    async def ask(*command: str) -> Any:
        await connection.send_command(*command)
        return await connection.read_response()

    try:
        await connection.connect()
        yield ask
    finally:
        await connection.disconnect(nowait=True)


def _connection(client: Any, patience: float) -> Any:
    """Return a connection as the client's pool would make it, but for its patience and its introductions.

    A client introduces itself first: which protocol it speaks, who it is, what it would be told of. Each is a round
    trip, and with a slow server they would take the time in which it could have answered.
    """
    otherwise: dict[str, Any] = {
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "retry": None,
        "retry_on_error": [],
        "retry_on_timeout": False,
        "protocol": 2,
        "client_name": None,
    }
    pool = client.connection_pool
    known = _arguments(pool.connection_class)
    # redis-py has put the latter two into the first, and warns of whoever still names them.
    anonymous = ("driver_info",) if "driver_info" in known else ("lib_name", "lib_version")
    otherwise |= dict.fromkeys(name for name in anonymous if name in known)
    kept = {name: value for name, value in pool.connection_kwargs.items() if "maint_notifications" not in name}
    return pool.connection_class(**{**kept, **otherwise})


def _arguments(connection_class: type) -> set[str]:
    """Return the names of all that a connection may be made with; its classes hand on what is not theirs."""
    makers = (vars(cls).get("__init__") for cls in connection_class.__mro__ if cls is not object)
    return {name for make in makers if make is not None for name in inspect.signature(make).parameters}


def peer(client: Any) -> str:
    """Return what the server is called where it fails."""
    told = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    if "path" in told:
        return str(told["path"])
    return address(told["host"], told.get("port")) if "host" in told else "the Redis server"
