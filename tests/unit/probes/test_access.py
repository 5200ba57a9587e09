"""Who may be told how much by a probe on the application's own port."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from zdlife.probes.access import FORWARDED, Access, access

TOKEN = SecretStr("s3cret")


def allowed(peer: str | None = "192.0.2.1", token: SecretStr | None = TOKEN, **headers: str) -> Access:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return access(peer=peer, header=given.get, token=token)


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        ("127.0.0.1", Access.STATES),
        ("127.8.9.10", Access.STATES),
        ("::1", Access.STATES),
        ("::ffff:127.0.0.1", Access.STATES),
        ("::1%lo", Access.STATES),
        ("192.0.2.1", Access.ANSWER),
        ("::ffff:192.0.2.1", Access.ANSWER),
        ("10.0.0.1", Access.ANSWER),
        ("", Access.ANSWER),
        (None, Access.ANSWER),
        ("unix:", Access.ANSWER),
        ("localhost", Access.ANSWER),
    ],
)
def test_the_states_are_told_on_loopback_alone(peer: str | None, found: Access) -> None:
    assert allowed(peer) is found


@pytest.mark.parametrize("header", FORWARDED)
def test_whoever_comes_through_a_proxy_is_not_on_loopback(header: str) -> None:
    assert allowed("127.0.0.1", **{header.replace("-", "_"): "192.0.2.1"}) is Access.ANSWER


@pytest.mark.parametrize(
    ("authorization", "found"),
    [
        ("Bearer s3cret", Access.EVERYTHING),
        ("bearer  s3cret ", Access.EVERYTHING),
        ("Bearer s3cre", Access.ANSWER),
        ("Bearer", Access.ANSWER),
        ("Basic s3cret", Access.ANSWER),
        ("s3cret", Access.ANSWER),
        ("Bearer s3cr\u00e9t", Access.ANSWER),
        ("", Access.ANSWER),
    ],
)
def test_the_token_opens_everything(authorization: str, found: Access) -> None:
    assert allowed(authorization=authorization) is found


def test_the_token_counts_through_a_proxy_too() -> None:
    assert allowed("127.0.0.1", authorization="Bearer s3cret", via="1.1 haproxy") is Access.EVERYTHING


@pytest.mark.parametrize("more", [{}, {"authorization": "Bearer "}, {"authorization": "Bearer None"}])
def test_without_a_token_nothing_opens(more: Any) -> None:
    assert allowed(token=None, **more) is Access.ANSWER
