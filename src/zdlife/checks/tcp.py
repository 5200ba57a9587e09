"""Does something accept connections there?"""

from __future__ import annotations

import socket
from collections.abc import Callable

from zdlife.checks.arguments import seconds
from zdlife.checks.failure import address, failure
from zdlife.errors import WrongUse


def tcp(host: str, port: int, *, timeout: float = 1.0) -> Callable[[], None]:
    """Return a check that something accepts connections at `host` and `port`.

    A run costs the dependency one connection, which is closed at once and on which nothing is sent; some servers log
    that. It says that the kernel there accepts, and no more: a server that hangs passes.

    Each address that the name has is given `timeout` seconds. Resolving the name takes as long as the system lets it.
    Any thread may run it.

    Raises:
        WrongUse: here, not in the check, when an argument cannot be used.
        CheckFailed: from the check.
    """
    if not host:
        raise WrongUse('host="" names no host. Write a name or an address.')
    if not 0 < port < 65536:
        raise WrongUse(f"port={port!r} is no port. Write a number from 1 to 65535.")
    seconds("timeout", timeout)
    peer = address(host, port)

    def check() -> None:
        try:
            socket.create_connection((host, port), timeout=timeout).close()
        except OSError as error:
            raise failure(error, peer, within=timeout) from error

    return check
