"""The SQL check with SQLAlchemy and psycopg, against a real PostgreSQL and SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import eventually, require_module
from support.services import PostgreSQL
from zdlife.checks.sql import sql
from zdlife.errors import CheckFailed

QUESTION = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
"""How many sessions were left in a transaction."""


@pytest.fixture
def patient(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """The same PostgreSQL, which may be stopped and held still: it is up again afterwards."""
    yield postgresql
    if postgresql.runs:
        postgresql.resume()
    else:
        postgresql.start()


@pytest.fixture
def asked(postgresql: PostgreSQL) -> Iterator[Callable[[str], Any]]:
    """Asks the server one thing by a connection of the test's own."""
    with require_module("psycopg").connect(postgresql.url, autocommit=True, application_name="test") as connection:
        yield lambda question: connection.execute(question).fetchone()[0]


def engine_url(server: PostgreSQL) -> str:
    """Return the server's URL as SQLAlchemy writes it."""
    return server.url.replace("postgresql://", "postgresql+psycopg://")


@contextlib.asynccontextmanager
async def target(kind: str, server: PostgreSQL, *, size: int = 2) -> Any:
    """Lend what the application would reach its database by, with at most `size` connections."""
    if kind == "conninfo":
        require_module("psycopg")
        yield server.url
    elif kind == "engine":
        made = require_module("sqlalchemy").create_engine(engine_url(server), pool_size=size, max_overflow=0)
        yield made
        made.dispose()
    elif kind == "async-engine":
        module = require_module("sqlalchemy.ext.asyncio")
        made = module.create_async_engine(engine_url(server), pool_size=size, max_overflow=0)
        yield made
        await made.dispose()
    elif kind == "pool":
        with require_module("psycopg_pool").ConnectionPool(server.url, min_size=1, max_size=size, open=True) as made:
            yield made
    else:
        module = require_module("psycopg_pool")
        async with module.AsyncConnectionPool(server.url, min_size=1, max_size=size, open=False) as made:
            yield made


KINDS = ["conninfo", "engine", "async-engine", "pool", "async-pool"]


async def once(check: Callable[[], Any]) -> Any:
    """Run a check as Lifecycle does: a `def` in a thread, an `async def` in the loop."""
    return await (check() if inspect.iscoroutinefunction(check) else asyncio.to_thread(check))


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_that_answers_passes_and_has_its_connections_back(
    kind: str, postgresql: PostgreSQL, asked: Callable[[str], Any]
) -> None:
    async def main() -> None:
        async with target(kind, postgresql, size=1) as reached:
            check = sql(reached)
            for _ in range(5):
                assert await once(check) is None
            assert asked(QUESTION) == 0

    asyncio.run(main())
    eventually(lambda: asked("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_is_async_where_its_target_is(kind: str, postgresql: PostgreSQL) -> None:
    async def main() -> bool:
        async with target(kind, postgresql) as reached:
            return inspect.iscoroutinefunction(sql(reached))

    assert asyncio.run(main()) is kind.startswith("async")


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_that_is_down_fails_and_passes_once_it_is_back(kind: str, patient: PostgreSQL) -> None:
    async def passes(check: Callable[[], Any]) -> bool:
        with contextlib.suppress(CheckFailed):
            await once(check)
            return True
        return False

    async def main() -> str:
        async with target(kind, patient, size=1) as reached:
            check = sql(reached)
            await once(check)
            patient.stop()
            with contextlib.suppress(CheckFailed):  # The pooled connection learns of it by this.
                await once(check)
            with pytest.raises(CheckFailed) as failed:
                await once(check)
            patient.start()
            async with asyncio.timeout(20):
                while not await passes(check):
                    await asyncio.sleep(0.05)
            return str(failed.value)

    said = asyncio.run(main())

    if "pool" in kind:
        assert said.startswith("no connection from the pool within 1.5 s")
    else:
        assert said == f"connection refused by 127.0.0.1:{patient.port}"
    assert patient.password not in said


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_fails_without_name_or_password(kind: str, postgresql: PostgreSQL) -> None:
    class Stranger(PostgreSQL):
        password = "Open-Sesame-42"
        port = postgresql.port

    async def main() -> str:
        with pytest.raises(CheckFailed) as failed:
            async with target(kind, Stranger(Path("/nowhere"))) as reached:
                await once(sql(reached))
        return str(failed.value)

    said = asyncio.run(main())

    if "pool" not in kind:
        assert said == f"127.0.0.1:{postgresql.port}: password authentication failed"
    assert "Sesame" not in said
    assert PostgreSQL.user not in said


@pytest.mark.parametrize("kind", ["engine", "async-engine", "pool", "async-pool"])
def test_a_pool_that_has_none_free_fails_and_gets_none_less_back(kind: str, postgresql: PostgreSQL) -> None:
    async def main() -> str:
        async with contextlib.AsyncExitStack() as stack:
            reached = await stack.enter_async_context(target(kind, postgresql, size=1))
            impatient(reached)
            lend = reached.connect if "engine" in kind else reached.connection
            if kind.startswith("async"):
                async with lend():
                    said = await failing(reached)
            else:
                with lend():
                    said = await failing(reached)
            await once(sql(reached))
            return said

    async def failing(reached: Any) -> str:
        with pytest.raises(CheckFailed) as failed:
            await once(sql(reached))
        return str(failed.value)

    said = asyncio.run(main())

    if "pool" in kind:
        assert said == "no connection from the pool within 1.5 s: 0 of 1 free"
    else:
        assert said.startswith(f"127.0.0.1:{postgresql.port}: QueuePool limit of size 1 overflow 0 reached")
        assert "sqlalche.me" not in said


def impatient(reached: Any) -> None:
    """Let a pool of SQLAlchemy's be waited for a moment only; psycopg's are given 1.5 s by the check."""
    if hasattr(reached, "dialect"):
        reached.pool._timeout = 0.2


@pytest.mark.parametrize("kind", ["engine", "async-engine", "pool", "async-pool"])
def test_a_run_that_is_abandoned_gives_its_connection_back(kind: str, patient: PostgreSQL) -> None:
    async def main() -> None:
        async with target(kind, patient, size=1) as reached:
            check = sql(reached)
            await once(check)
            patient.pause()
            running = asyncio.ensure_future(once(check))
            await asyncio.wait([running], timeout=0.3)
            assert not running.done()
            if kind.startswith("async"):  # A thread cannot be cancelled.
                running.cancel()
            patient.resume()
            await asyncio.wait([running])
            async with asyncio.timeout(20):
                await once(check)

    asyncio.run(main())


def test_a_server_that_accepts_and_never_answers_is_given_up(server_that: Any) -> None:
    require_module("psycopg")
    port = server_that()

    with pytest.raises(CheckFailed, match=rf"^no answer from 127.0.0.1:{port} in time$"):
        sql(f"host=127.0.0.1 port={port} user=shop connect_timeout=2")()


@pytest.mark.parametrize(
    ("faulty", "said"),
    [({"says": b"HTTP/1.1 400 Bad Request\r\n"}, "invalid response"), ({"closes": True}, "closed the connection")],
    ids=["http", "hangs-up"],
)
def test_what_is_no_postgresql_fails(server_that: Any, faulty: dict[str, Any], said: str) -> None:
    require_module("psycopg")

    with pytest.raises(CheckFailed, match=said):
        sql(f"postgresql://shop:Sesame@127.0.0.1:{server_that(**faulty)}/shop")()


def test_a_conninfo_keeps_its_own_patience(postgresql: PostgreSQL, asked: Callable[[str], Any]) -> None:
    require_module("psycopg")

    sql(f"{postgresql.url}?application_name=orders")()

    assert asked("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'zdlife-check'") == 0


def test_sqlite_passes_and_a_file_that_is_none_fails(tmp_path: Path) -> None:
    sqlalchemy = require_module("sqlalchemy")
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()

    assert sql(sqlalchemy.create_engine("sqlite://"))() is None
    with pytest.raises(CheckFailed, match=r"spoilt: unable to open database file$"):
        sql(sqlalchemy.create_engine(f"sqlite:///{spoilt}"))()


def test_aiosqlite_passes(tmp_path: Path) -> None:
    require_module("aiosqlite")
    module = require_module("sqlalchemy.ext.asyncio")

    async def main() -> None:
        engine = module.create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop")
        assert await sql(engine)() is None
        await engine.dispose()

    asyncio.run(main())


def test_a_pool_that_is_not_open_says_so(postgresql: PostgreSQL) -> None:
    pool = require_module("psycopg_pool").ConnectionPool(postgresql.url, open=False)

    with pytest.raises(CheckFailed, match=r"^the database: the pool .* is not open yet$"):
        sql(pool)()
