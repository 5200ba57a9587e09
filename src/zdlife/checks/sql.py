"""Does a database answer SELECT 1?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any, Final

from zdlife.checks.arguments import package
from zdlife.checks.failure import address, failure
from zdlife.errors import CheckFailed, WrongUse

Check = Callable[[], None] | Callable[[], Awaitable[None]]
Failing = Callable[[Exception], CheckFailed]

BORROW_WITHIN: Final = 1.5
"""Seconds that a psycopg pool is given to lend a connection."""

PATIENCE: Final[Mapping[str, str]] = {
    "connect_timeout": "2",
    "tcp_user_timeout": "5000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "application_name": "zdlife-check",
}
"""What a connection of the check's own is opened with, unless the conninfo says otherwise: a server that vanished
without a word is given up in seconds, and not when TCP tires of it a quarter of an hour later."""


def sql(target: Any) -> Check:
    """Return a check that the database answers SELECT 1; `async def` for an AsyncEngine and an AsyncConnectionPool.

    `target` is what the application reaches its database by: an Engine or AsyncEngine of SQLAlchemy, a ConnectionPool
    or AsyncConnectionPool of psycopg 3, or a conninfo string of PostgreSQL.

    An engine or a pool lends one connection for a run, in which SELECT 1 is a transaction of its own, and has it back
    however the run ends. If none is free, the run waits as a request would: it fails when every connection is in use.
    A run that the database does not answer keeps its connection until the driver gives up; Lifecycle leaves at most
    three such runs of a check. With a conninfo each run opens a connection, sends SELECT 1 and closes it.

    Any thread may run the check, or for an async one any task of the loop that the engine or pool is used in.

    Raises:
        WrongUse: here, not in the check, when `target` cannot be used.
        MissingExtra: a conninfo needs psycopg, which is not installed.
        CheckFailed: from the check.
    """
    if isinstance(target, str):
        return _of_conninfo(target)
    if all(hasattr(target, name) for name in ("connect", "dialect", "pool")):
        return _of_engine(target)
    if all(hasattr(target, name) for name in ("connection", "getconn", "get_stats")):
        return _of_pool(target)
    raise WrongUse(
        f"sql() cannot use a {type(target).__name__}. "
        "Give it SQLAlchemy's engine, a pool of psycopg 3, or a conninfo string of PostgreSQL."
    )


def _of_conninfo(conninfo: str) -> Check:
    psycopg = package("psycopg", extra="psycopg")
    try:
        told = psycopg.conninfo.conninfo_to_dict(conninfo)
        readable = set(str(told.get("port") or "")) <= set("0123456789,")
    except psycopg.Error:
        readable, told = False, {}
    if not readable:
        # What libpq says of it would quote a part, and with bad luck the password.
        raise WrongUse(
            'the conninfo of an sql check cannot be read. Write "host=... dbname=..." or "postgresql://...", '
            "or give SQLAlchemy's engine for any other database."
        )
    peer = _peer(told.get("host") or told.get("hostaddr"), told.get("port"))
    connect = partial(psycopg.connect, autocommit=True, **{**PATIENCE, **told})
    return _asking(connect, "SELECT 1", partial(failure, peer=peer))


def _of_engine(engine: Any) -> Check:
    select_1 = import_module("sqlalchemy").select(1)  # Not every database reads SELECT 1 as it stands.
    peer = _peer(engine.url.host or engine.url.database, engine.url.port)
    asking = _asking_async if hasattr(engine, "sync_engine") else _asking
    return asking(engine.connect, select_1, partial(failure, peer=peer))


def _of_pool(pool: Any) -> Check:
    asking = _asking_async if iscoroutinefunction(pool.getconn) else _asking
    return asking(partial(pool.connection, timeout=BORROW_WITHIN), "SELECT 1", partial(_pool_failure, pool=pool))


def _asking(lend: Callable[[], Any], statement: Any, failing: Failing) -> Check:
    def check() -> None:
        try:
            with lend() as connection:
                connection.execute(statement)
        except Exception as error:
            raise failing(error) from error

    return check


def _asking_async(lend: Callable[[], Any], statement: Any, failing: Failing) -> Check:
    async def check() -> None:
        try:
            async with lend() as connection:
                await connection.execute(statement)
        except Exception as error:
            raise failing(error) from error

    return check


def _pool_failure(error: Exception, pool: Any) -> CheckFailed:
    """Return the failure, with how the pool stands if it lent nothing; its errors go by name."""
    if type(error).__name__ != "PoolTimeout":
        return failure(error, "the database")
    stats = pool.get_stats()
    free, held = stats.get("pool_available", 0), stats.get("pool_size", 0)
    return CheckFailed(f"no connection from the pool within {BORROW_WITHIN:g} s: {free} of {held} free")


def _peer(host: Any, port: Any) -> str:
    """Return what the database is called where it fails."""
    return address(str(host), port) if host else "the database"
