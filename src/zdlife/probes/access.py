"""Who may be told how much by a probe on the application's own port."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from enum import IntEnum
from ipaddress import ip_address

from pydantic import SecretStr

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers that a proxy adds: whoever sent one of them is not at the other end of this connection."""


class Access(IntEnum):
    """How much a caller is told: how the instance stands; how each check stands; and also why."""

    ANSWER = 0
    STATES = 1
    EVERYTHING = 2


def access(*, peer: str | None, header: Callable[[str], str | None], token: SecretStr | None) -> Access:
    """Return how much the caller at `peer` may be told; `header` looks one up by its name in lower case.

    With the token, everything. From loopback and not through a proxy that says so, the state of each check and not the
    text of what went wrong: a proxy on the same machine may not say so.
    """
    given = header("authorization")
    if token is not None and given is not None:
        scheme, _, secret = given.partition(" ")
        expected = token.get_secret_value().encode()
        sent = secret.strip().encode("latin-1", "replace")  # As it came over the wire, which may have been UTF-8.
        if scheme.lower() == "bearer" and expected and hmac.compare_digest(sent, expected):
            return Access.EVERYTHING
    if _is_loopback(peer) and not any(header(name) for name in FORWARDED):
        return Access.STATES
    return Access.ANSWER


def _is_loopback(peer: str | None) -> bool:
    try:
        found = ip_address((peer or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
