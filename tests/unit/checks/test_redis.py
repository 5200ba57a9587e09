"""What the replies of a Redis server come to."""

from __future__ import annotations

from typing import Any

import pytest

from zdlife.checks import Caution
from zdlife.checks.redis import MEMORY, PING, REPLICATION, judge, may_be_denied
from zdlife.errors import CheckFailed

EVICTING = b"# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n"


class ResponseError(Exception):
    """As every client of Redis calls it."""


class NoPermissionError(ResponseError):
    """As redis-py calls it."""


@pytest.mark.parametrize("pong", [True, "PONG", b"PONG"])
def test_pong_passes(pong: Any) -> None:
    assert judge({PING: pong}, None) is None


@pytest.mark.parametrize("reply", [False, None, "HELLO", b"", 1.5, []])
def test_anything_else_fails(reply: Any) -> None:
    with pytest.raises(CheckFailed, match="no Redis server"):
        judge({PING: reply}, None)


@pytest.mark.parametrize(
    "info",
    [
        EVICTING,
        EVICTING.decode(),
        {"maxmemory_policy": "allkeys-lru"},
        {"10.0.0.1:1": {"maxmemory": 0}, "10.0.0.2:1": {"maxmemory_policy": "allkeys-lru"}},
    ],
    ids=["bytes", "text", "fields", "by-node"],
)
def test_the_policy_is_read_however_it_comes(info: Any) -> None:
    assert isinstance(judge({PING: True, MEMORY: info}, None), Caution)


@pytest.mark.parametrize("info", [b"maxmemory_policy:noeviction\r\n", b"", {}], ids=["noeviction", "untold", "no-node"])
def test_a_policy_that_keeps_sessions_or_is_not_told_passes(info: Any) -> None:
    assert judge({PING: True, MEMORY: info}, None) is None


@pytest.mark.parametrize(("told", "found"), [(b"role:master\r\n", "master"), (b"role:slave\r\n", "replica")])
@pytest.mark.parametrize("role", ["master", "replica"])
def test_the_role_is_as_expected_or_fails(told: bytes, found: str, role: Any) -> None:
    replies = {PING: True, REPLICATION: told}

    if found == role:
        assert judge(replies, role) is None
    else:
        with pytest.raises(CheckFailed, match=f"the server is a {found}, not the {role}"):
            judge(replies, role)


@pytest.mark.parametrize(
    ("error", "unanswered", "denied"),
    [
        (NoPermissionError(), (MEMORY,), True),
        (ResponseError(), (MEMORY,), True),
        (ConnectionError(), (MEMORY,), False),
        (NoPermissionError(), (REPLICATION, MEMORY), False),
        (ResponseError(), (PING,), False),
        (ResponseError(), (), False),
    ],
    ids=["acl", "unknown-command", "lost-connection", "role", "ping", "nothing"],
)
def test_only_the_policy_can_be_done_without(error: Exception, unanswered: Any, denied: bool) -> None:
    assert may_be_denied(error, unanswered) is denied
