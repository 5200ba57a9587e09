"""The Redis check against real servers, and against what only listens where one should be."""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import eventually, require_module
from zdlife.checks import Caution
from zdlife.checks.redis import redis
from zdlife.errors import CheckFailed, WrongUse

CLIENTS = ["redis", "redis.asyncio", "valkey", "valkey.asyncio"]


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Makes a client, which connects to nothing before it is used."""
    require_module(request.param.partition(".")[0])
    module = importlib.import_module(request.param)
    made = module.Valkey if "valkey" in request.param else module.Redis

    def connect(port: int, **settings: Any) -> Any:
        return made(host="127.0.0.1", port=port, **settings)

    return connect


def commands_of(server: Any) -> dict[str, int]:
    """Return how often each command was called, but for those of this question."""
    stats = require_module("redis").Redis.from_url(server.url).info("commandstats")
    return {name.removeprefix("cmdstat_"): told["calls"] for name, told in stats.items()}


def denying(*commands: str) -> tuple[str, ...]:
    """Return the arguments of a server that allows everything else."""
    return ("--user", "default", "on", "nopass", "~*", "+@all", *commands)


def test_a_server_that_answers_passes(client: Any, redis_server: Any, run: Any) -> None:
    assert run(redis(client(redis_server().port))) is None


@pytest.mark.parametrize("decode", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("protocol", [2, 3], ids=["resp2", "resp3"])
def test_whatever_a_client_makes_of_replies_everything_can_be_asked(
    client: Any, redis_server: Any, run: Any, decode: bool, protocol: int
) -> None:
    made = client(redis_server().port, decode_responses=decode, protocol=protocol)

    assert run(redis(made, role="master", sessions=True)) is None


def test_only_what_is_asked_for_is_sent(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server()
    run(redis(client(server.port)))
    run(redis(client(server.port), sessions=True))

    sent = commands_of(server)

    assert sent["ping"] == 3  # the server's own start was waited for with one
    assert sent["info"] == 1


def test_no_connection_stays_open(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server()
    asked = require_module("redis").Redis.from_url(server.url)
    for _ in range(5):
        run(redis(client(server.port), role="master", sessions=True))

    eventually(lambda: asked.info("clients")["connected_clients"] == 1)


def test_an_exhausted_pool_says_nothing_of_the_server(client: Any, redis_server: Any, run: Any) -> None:
    assert run(redis(client(redis_server().port, max_connections=1), sessions=True)) is None


def test_the_clients_own_connections_are_left_alone(redis_server: Any) -> None:
    module = require_module("redis")
    server = redis_server()
    made = module.Redis.from_url(server.url, client_name="own", max_connections=1)
    own = made.client_id()

    redis(made)()

    assert made.client_id() == own


def test_where_nobody_listens_the_refusal_is_named_at_once(client: Any, refusing_port: int, run: Any) -> None:
    with pytest.raises(CheckFailed, match=f"^connection refused by 127.0.0.1:{refusing_port}$"):
        run(redis(client(refusing_port)))


def test_a_server_that_accepts_and_never_answers_fails_in_time(client: Any, server_that: Any, run: Any) -> None:
    port = server_that()

    with pytest.raises(CheckFailed, match=f"^no answer from 127.0.0.1:{port} in time$"):
        run(redis(client(port), timeout=0.2))


def test_a_server_that_is_held_still_fails_and_then_passes_again(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server()
    check = redis(client(server.port), timeout=0.3)
    server.pause()
    with pytest.raises(CheckFailed, match="no answer"):
        run(check)

    server.resume()

    assert run(check) is None


def test_a_server_that_comes_back_passes_again(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server()
    check = redis(client(server.port))
    run(check)
    server.stop()
    with pytest.raises(CheckFailed, match="connection refused"):
        run(check)

    server.start()

    assert run(check) is None


@pytest.mark.parametrize(
    "says",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+HELLO\r\n", b"\x00\xff\r\n"],
    ids=["http", "resp-but-no-pong", "binary"],
)
def test_what_is_no_redis_server_fails(client: Any, server_that: Any, run: Any, says: bytes) -> None:
    port = server_that(says=says)

    with pytest.raises(CheckFailed):
        run(redis(client(port, protocol=2), timeout=0.5))


def test_a_server_that_hangs_up_is_named(client: Any, server_that: Any, run: Any) -> None:
    port = server_that(closes=True)

    with pytest.raises(CheckFailed, match=f"^127.0.0.1:{port} closed the connection$"):
        run(redis(client(port)))


def test_a_password_that_is_wrong_fails_without_being_shown(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server("--requirepass", "right-secret")

    with pytest.raises(CheckFailed) as failed:
        run(redis(client(server.port, password="wrong-secret")))

    assert "WRONGPASS" in str(failed.value) or "invalid username-password" in str(failed.value)
    assert "right-secret" not in str(failed.value)
    assert "wrong-secret" not in str(failed.value)


def test_a_password_that_is_missing_fails_with_what_the_server_says(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server("--requirepass", "right-secret")

    with pytest.raises(CheckFailed, match=rf"^127.0.0.1:{server.port}: .*[Aa]uthenticat"):
        run(redis(client(server.port)))


def test_a_password_that_is_right_passes(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server("--requirepass", "right-secret")

    assert run(redis(client(server.port, password="right-secret"))) is None


@pytest.mark.parametrize(
    "policy", ["allkeys-lru", "allkeys-random", "volatile-lru", "volatile-ttl"], ids=lambda policy: policy
)
def test_a_policy_that_evicts_sessions_is_a_caution_that_says_what_to_set(
    client: Any, redis_server: Any, run: Any, policy: str
) -> None:
    server = redis_server("--maxmemory", "100mb", "--maxmemory-policy", policy)

    said = run(redis(client(server.port), sessions=True))

    assert said == Caution(f"maxmemory-policy is {policy}, which may evict sessions: set it to noeviction")


def test_a_policy_is_nobodys_business_where_no_sessions_are_kept(client: Any, redis_server: Any, run: Any) -> None:
    assert run(redis(client(redis_server("--maxmemory-policy", "allkeys-lru").port))) is None


def test_where_config_is_denied_the_policy_is_still_seen(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server("--maxmemory-policy", "allkeys-lru", *denying("-config"))

    assert isinstance(run(redis(client(server.port), sessions=True)), Caution)


def test_where_the_policy_cannot_be_asked_for_nothing_is_said(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server("--maxmemory-policy", "allkeys-lru", *denying("-config", "-info"))

    assert run(redis(client(server.port), sessions=True)) is None


def test_where_a_role_is_asked_for_and_cannot_be_told_it_fails(client: Any, redis_server: Any, run: Any) -> None:
    server = redis_server(*denying("-info"))

    with pytest.raises(CheckFailed, match="no permissions"):
        run(redis(client(server.port), role="master"))


def test_a_replica_is_not_the_master(client: Any, redis_server: Any, run: Any) -> None:
    replica = redis_server("--replicaof", "127.0.0.1", str(redis_server().port))

    with pytest.raises(CheckFailed, match=r"^the server is a replica, not the master$"):
        run(redis(client(replica.port), role="master"))
    assert run(redis(client(replica.port), role="replica")) is None
    assert run(redis(client(replica.port))) is None


def test_a_master_is_no_replica(client: Any, redis_server: Any, run: Any) -> None:
    with pytest.raises(CheckFailed, match=r"^the server is a master, not the replica$"):
        run(redis(client(redis_server().port), role="replica"))


@pytest.fixture
def sentinel(redis_server: Any, tmp_path: Path) -> tuple[str, int]:
    """Where a Sentinel is that knows the master of `shop`."""
    written = tmp_path / "sentinel.conf"
    written.write_text(f"sentinel monitor shop 127.0.0.1 {redis_server().port} 1\n")
    return "127.0.0.1", redis_server(str(written), "--sentinel").port


def test_a_sentinel_is_asked_for_the_master(sentinel: tuple[str, int]) -> None:
    found = require_module("redis.sentinel").Sentinel([sentinel])

    assert redis(found.master_for("shop"), role="master", sessions=True)() is None
    with pytest.raises(CheckFailed, match="No master found for 'bakery'"):
        redis(found.master_for("bakery"))()


def test_a_sentinel_is_asked_for_the_master_in_the_loop(sentinel: tuple[str, int]) -> None:
    async def main() -> None:
        found = require_module("redis.asyncio.sentinel").Sentinel([sentinel])
        assert await redis(found.master_for("shop"), role="master", sessions=True)() is None
        with pytest.raises(CheckFailed, match="No master found for 'bakery'"):
            await redis(found.master_for("bakery"))()
        for asked in found.sentinels:
            await asked.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_cluster_is_asked_through_its_client(redis_server: Any, asynchronous: bool) -> None:
    module = require_module("redis")
    server = redis_server("--cluster-enabled", "yes", "--maxmemory-policy", "allkeys-lru")
    asked = module.Redis.from_url(server.url)
    asked.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
    eventually(lambda: asked.cluster("info")["cluster_state"] == "ok")

    async def main() -> Any:
        async with module.asyncio.RedisCluster.from_url(server.url) as cluster:
            return await redis(cluster, sessions=True)()

    said = asyncio.run(main()) if asynchronous else redis(module.RedisCluster.from_url(server.url), sessions=True)()

    assert isinstance(said, Caution)


def test_a_role_is_not_asked_of_a_cluster(redis_server: Any) -> None:
    module = require_module("redis")
    cluster = module.asyncio.RedisCluster(host="127.0.0.1", port=1)

    with pytest.raises(WrongUse, match="Leave it out"):
        redis(cluster, role="master")


def test_a_server_at_a_unix_socket_is_named_by_its_path(redis_server: Any, tmp_path: Path) -> None:
    module = require_module("redis")
    path = tmp_path / "redis.sock"
    server = redis_server("--unixsocket", str(path))
    check = redis(module.Redis(unix_socket_path=str(path)), role="master", sessions=True)

    assert check() is None
    server.stop()
    with pytest.raises(CheckFailed, match=rf"^connection refused by {path}$"):
        check()


def test_a_run_that_is_cancelled_leaves_nothing_behind(redis_server: Any) -> None:
    module = require_module("redis")
    server = redis_server()
    made = module.asyncio.Redis.from_url(server.url)
    server.pause()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await redis(made, timeout=30)()
        server.resume()
        await redis(made)()

    asyncio.run(main())
    asked = module.Redis.from_url(server.url)
    eventually(lambda: asked.info("clients")["connected_clients"] == 1)


@pytest.mark.parametrize("module", ["redis", "valkey"])
def test_a_run_is_one_round_trip(module: str) -> None:
    """A server whose every reply is late is asked once: PING, and no introductions before it."""
    client_of = {"redis": "Redis", "valkey": "Valkey"}[module]
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                while received := connection.recv(4096):
                    asked.append(received)
                    connection.sendall(b"+PONG\r\n" if b"PING" in received else b"+OK\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        client = getattr(require_module(module), client_of)(port=listener.getsockname()[1], client_name="shop")
        redis(client)()
        client.close()
        answering.join(10)

    assert asked == [b"*1\r\n$4\r\nPING\r\n"]
