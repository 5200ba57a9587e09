"""Leaving a listening socket without resetting the connections queued on it.

When the last process closes a listening socket, the kernel resets every connection that has finished its handshake and
waits in the accept queue: the client had connected and sent a request, and is told nothing but RST. So the queue has to
be empty at that moment. On Linux a socket filter drops new SYNs, the server accepts what is queued, and then the socket
can close. A client whose SYN was dropped repeats it about a second later and is then refused, which every client may
safely retry, as nothing of its request was sent.

Elsewhere the filter does nothing and the socket simply closes. Nor is it used on a socket that outlives the instance,
since it would outlive it too: with socket activation, and where a new server has taken the socket over, somebody else
accepts what is queued.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator

SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
TCP_INFO_UNACKED = 24
"""Offset of `tcpi_unacked` in `struct tcp_info`; for a listener it is the length of the accept queue (tcp_diag.c)."""

# Classic BPF on the TCP header: the byte at 13 holds the flags. A SYN without ACK opens a connection: drop it (0 bytes
# kept); keep everything else, above all the ACK that ends a handshake begun before.
_DROP_PURE_SYN = (
    (0x30, 0, 0, 13),  # ldb [13]
    (0x54, 0, 0, 0x12),  # and #(SYN | ACK)
    (0x15, 0, 1, 0x02),  # jeq #SYN, next, +1
    (0x06, 0, 0, 0),  # ret 0
    (0x06, 0, 0, 0xFFFFFFFF),  # ret all
)


def is_lent() -> bool:
    """Return whether somebody lent this process its listening socket, and keeps it: `fd://` on its command line."""
    return any("fd://" in argument for argument in sys.argv)


def stop_new_connections(listener: socket.socket) -> bool:
    """Drop every new SYN to `listener` from now on; return whether the system could.

    The filter belongs to the socket, not to the descriptor: it holds for every process that shares it, and cannot be
    undone by closing. Only for an instance that is leaving, never for one worker of it.
    """
    if not sys.platform.startswith("linux") or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in _DROP_PURE_SYN)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("@HP", len(_DROP_PURE_SYN), ctypes.addressof(buffer))
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError:
        return False
    return True


def accept_new_connections(listener: socket.socket) -> None:
    """Take back `stop_new_connections`, whichever process has done it; nothing where nobody has."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def queued(listener: socket.socket) -> int:
    """Return how many connections wait in the accept queue of `listener`; 0 where the system does not tell."""
    if not sys.platform.startswith("linux") or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return 0
    try:
        told = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    except OSError:
        return 0
    return int(struct.unpack_from("=I", told, TCP_INFO_UNACKED)[0])


def listening_sockets(*, but: int | None = None) -> Iterator[socket.socket]:
    """Yield a duplicate of each TCP socket this process listens on, `but` the one of that port; the caller closes them.

    For servers that keep their sockets to themselves (granian's are in Rust). Linux only; elsewhere yields nothing.
    """
    try:
        # All are looked at before the first is duplicated: a duplicate may take the number of what was just closed.
        numbers = [number for number in map(int, os.listdir("/proc/self/fd")) if _is_socket(number)]
    except OSError:
        return
    for number in numbers:
        try:
            found = socket.socket(fileno=os.dup(number))
        except OSError:
            continue
        try:
            listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            fits = found.family in (socket.AF_INET, socket.AF_INET6) and found.getsockname()[1] != but
        except OSError:
            listens = fits = False
        if listens and fits:
            yield found
        else:
            found.close()


def _is_socket(number: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:  # Closed since it was listed.
        return False
