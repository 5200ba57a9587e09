"""Ports kept free for processes that start later, so that a balancer can know them beforehand."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import Self

from zdlife.errors import PlanError

HELD_WHILE_SERVED = sys.platform == "linux"
"""Linux lets a server listen on a port that somebody else has bound and not listened on, if both set SO_REUSEADDR."""


class Ports:
    """Loopback ports that nobody else gets until they are released.

    A port that is only chosen and not held may become some outgoing connection's own before its server starts, and a
    rehearsal makes thousands of those.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def reserve(self, wanted: int = 0) -> int:
        """Return `wanted`, or any free port for 0, and hold it.

        Raises:
            PlanError: the port is taken.
        """
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", wanted))
            if wanted:
                _refuse_if_served(wanted)
        except OSError as error:
            holder.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            why = "in use" if error.errno == errno.EADDRINUSE else "not open to this user"
            raise PlanError(
                f"port {wanted} is {why}. Free it, or leave the port out of the plan: any free one is taken."
            ) from None
        port: int = holder.getsockname()[1]
        self._held[port] = holder
        return port

    def hand_over(self, port: int) -> None:
        """Make way for the server that is about to listen on `port`."""
        if not HELD_WHILE_SERVED:
            self._held.pop(port).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for holder in self._held.values():
            holder.close()
        self._held.clear()


def _refuse_if_served(port: int) -> None:
    """Raise EADDRINUSE where somebody answers on `port` although it could be bound."""
    with contextlib.closing(socket.socket()) as caller:
        caller.settimeout(1.0)
        if caller.connect_ex(("127.0.0.1", port)) == 0:
            raise OSError(errno.EADDRINUSE, "somebody answers there")
