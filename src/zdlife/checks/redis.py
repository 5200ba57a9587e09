"""Does a Redis or Valkey server answer, is it the one that takes writes, and does it keep the sessions?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any, Final, Literal

from zdlife.checks.arguments import seconds
from zdlife.checks.failure import failure
from zdlife.checks.redis_line import is_cluster, line, line_async, peer
from zdlife.errors import CheckFailed, WrongUse
from zdlife.machine.checks import Caution

Role = Literal["master", "replica"]
Command = tuple[str, ...]

PING: Final = ("PING",)
REPLICATION: Final = ("INFO", "replication")
MEMORY: Final = ("INFO", "memory")
"""It tells maxmemory-policy, as CONFIG GET does, and is allowed where managed services and ACLs deny CONFIG."""


def redis(
    client: Any, *, role: Role | None = None, sessions: bool = False, timeout: float = 1.5
) -> Callable[[], Caution | None] | Callable[[], Awaitable[Caution | None]]:
    """Return a check that the server of `client` answers PING; `async def` for an asyncio client.

    `client` is redis-py's or valkey-py's, for one server, a Sentinel's service, or a cluster. With `role`, the server
    has it: after a failover a client may be left with a replica, which refuses writes. With `sessions`, a server that
    may evict sessions passes with a caution; one that does not tell its policy passes in silence.

    A run opens a connection with the client's settings, sends PING, INFO replication for `role` and INFO memory for
    `sessions`, and closes it. The client's own connections are left alone, and its retries, which would take longer
    than a check may, are not made. Each wait takes at most `timeout` seconds. A cluster, and a Sentinel for its master,
    is asked through the client itself, with its connections, retries and timeouts. Any thread may run the check, or for
    an asyncio client any task of the loop that the client is used in.

    Raises:
        WrongUse: here, not in the check, when an argument cannot be used.
        CheckFailed: from the check.
    """
    cluster = is_cluster(client)
    if not cluster and not hasattr(getattr(client, "connection_pool", None), "connection_kwargs"):
        raise WrongUse(f"redis() cannot use a {type(client).__name__}. Give it a client of redis-py or valkey-py.")
    if role not in ("master", "replica", None):
        raise WrongUse(f'role={role!r} is none. Write "master" or "replica", or leave it out.')
    if role is not None and cluster:
        raise WrongUse(f"role={role!r} is asked of a cluster, which has both. Leave it out.")
    seconds("timeout", timeout)
    commands = (PING, *((REPLICATION,) if role else ()), *((MEMORY,) if sessions else ()))

    def check() -> Caution | None:
        replies: dict[Command, Any] = {}
        try:
            with line(client, timeout) as ask:
                for command in commands:
                    replies[command] = ask(*command)
        except Exception as error:
            if not may_be_denied(error, commands[len(replies) :]):
                raise failure(error, peer(client)) from error
        return judge(replies, role)

    async def check_async() -> Caution | None:
        replies: dict[Command, Any] = {}
        try:
            async with line_async(client, timeout) as ask:
                for command in commands:
                    replies[command] = await ask(*command)
        except Exception as error:
            if not may_be_denied(error, commands[len(replies) :]):
                raise failure(error, peer(client)) from error
        return judge(replies, role)

    return check_async if iscoroutinefunction(client.execute_command) else check


def judge(replies: Mapping[Command, Any], role: Role | None) -> Caution | None:
    """Return a caution if the server may evict sessions.

    Raises:
        CheckFailed: it did not answer PING as a Redis server does, or has another role.
    """
    if replies[PING] is not True and _text(replies[PING]) != "PONG":
        raise CheckFailed("what answers there is no Redis server: it does not answer PING with PONG")
    if role is not None:
        found = "master" if _field(replies[REPLICATION], "role") == "master" else "replica"
        if found != role:
            raise CheckFailed(f"the server is a {found}, not the {role}")
    policy = _field(replies.get(MEMORY, ""), "maxmemory_policy")
    if policy not in (None, "noeviction"):
        return Caution(f"maxmemory-policy is {policy}, which may evict sessions: set it to noeviction")
    return None


def may_be_denied(error: Exception, unanswered: tuple[Command, ...]) -> bool:
    """Return whether the server has refused nothing but what can be done without; the client's errors go by name."""
    return unanswered == (MEMORY,) and any(kind.__name__ == "ResponseError" for kind in type(error).__mro__)


def _field(info: Any, name: str) -> str | None:
    """Return a field of what INFO says: as text, or, from a cluster, as fields, by node where several answered."""
    if isinstance(info, Mapping):
        found = (info, *(node for node in info.values() if isinstance(node, Mapping)))
        return next((fields[name] for fields in found if name in fields), None)
    told = (entry.partition(":") for entry in _text(info).splitlines())
    return next((value for key, _, value in told if key == name), None)


def _text(reply: Any) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
