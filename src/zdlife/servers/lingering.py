"""Closing a connection politely without waiting for the client.

gunicorn ends a `Connection: close` response by half-closing the socket and then reading for up to two seconds, until
the client has closed its side (RFC 9112, section 9.6: closing at once could reset the connection and cost the client
the end of its response). It waits in the thread that serves requests; in gthread, in the only one that accepts.
Clients that keep their side open then stall the worker for two seconds each, just when a settle tells every one of
them to close.

Here the same waiting is done for all such sockets together, in one thread of their own.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
import threading
from collections import deque
from time import monotonic
from typing import Any

LINGER = 2.0
MOST_READ_BYTES = 65536


class Lingerer:
    """One daemon thread that waits for many clients to close their side. Safe to give sockets to from any thread."""

    def __init__(self) -> None:
        self._new: deque[socket.socket] = deque()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="zdlife-linger", daemon=True)
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._thread.start()

    def close_graceful(self, sock: Any, *_: Any, **__: Any) -> None:
        """Half-close `sock` and return; it is closed once the client has closed, or after two seconds.

        Stands in for `gunicorn.util.close_graceful`. The caller's object is detached: to close it again does nothing.
        """
        try:
            sock.shutdown(socket.SHUT_WR)
            waiting = socket.socket(fileno=sock.detach())
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                sock.close()
            return
        waiting.setblocking(False)
        with self._lock:
            self._new.append(waiting)
            self._idle.clear()
        with contextlib.suppress(BlockingIOError):
            self._wake.send(b"\0")

    def wait(self, limit: float = LINGER) -> bool:
        """Wait until every socket is closed; at the end of a process, which would otherwise reset them."""
        return self._idle.wait(limit)

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._woken, selectors.EVENT_READ, None)
        deadlines: dict[socket.socket, float] = {}
        read: dict[socket.socket, int] = {}
        while True:
            soonest = min(deadlines.values(), default=None)
            ready = selector.select(None if soonest is None else max(0.0, soonest - monotonic()))
            done: list[socket.socket] = []
            for key, _ in ready:
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(4096)
                elif _ended(key.data, read):
                    done.append(key.data)
            while self._new:
                fresh = self._new.popleft()
                deadlines[fresh], read[fresh] = monotonic() + LINGER, 0
                selector.register(fresh, selectors.EVENT_READ, fresh)
            now = monotonic()
            done += [found for found, deadline in deadlines.items() if deadline <= now and found not in done]
            for found in done:
                selector.unregister(found)
                deadlines.pop(found)
                read.pop(found)
                found.close()
            with self._lock:
                if not deadlines and not self._new:
                    self._idle.set()


def _ended(sock: socket.socket, read: dict[socket.socket, int]) -> bool:
    """Read what the client still sends, and return whether it has closed or has sent too much."""
    try:
        received = sock.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True
    read[sock] += len(received)
    return not received or read[sock] >= MOST_READ_BYTES


_lingerers: list[Lingerer] = []
"""This process's one lingerer, once there is one."""


def close_in_background() -> None:
    """Have this worker's `Connection: close` responses end without waiting; for gunicorn's versions that wait."""
    util = sys.modules.get("gunicorn.util")
    if not _lingerers and util is not None and hasattr(util, "close_graceful"):
        _lingerers.append(Lingerer())
        util.__dict__["close_graceful"] = _lingerers[0].close_graceful


def wait() -> None:
    """Wait for the sockets that linger, as the process ends."""
    for lingerer in _lingerers:
        lingerer.wait()
