"""Leaving a listening socket without resetting what is queued on it. The kernel does it, so these sockets are real."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from support import eventually
from zdlife.process.listener import listening_sockets, queued, stop_new_connections

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux filters and tells")


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A listening socket on this machine alone."""
    with socket.socket(request.param) as listener:
        try:
            listener.bind(("127.0.0.1" if request.param == socket.AF_INET else "::1", 0))
        except OSError as error:
            pytest.skip(f"this machine has no such address: {error}")
        listener.listen(16)
        yield listener


def connect(listener: socket.socket, *, within: float = 5.0) -> socket.socket:
    client = socket.socket(listener.family)
    client.settimeout(within)
    try:
        client.connect(listener.getsockname())
    except OSError:
        client.close()
        raise
    return client


@linux
def test_the_queue_is_what_nobody_has_accepted_yet(listener: socket.socket) -> None:
    assert queued(listener) == 0

    with connect(listener), connect(listener):
        eventually(lambda: queued(listener) == 2)
        listener.accept()[0].close()
        assert queued(listener) == 1


@linux
def test_no_new_connection_is_made_once_it_is_told(listener: socket.socket) -> None:
    assert stop_new_connections(listener)

    with pytest.raises(TimeoutError):
        connect(listener, within=0.2)


@linux
def test_what_was_queued_before_is_served(listener: socket.socket) -> None:
    with connect(listener) as client:
        client.sendall(b"asked before")
        stop_new_connections(listener)
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(5)
            assert accepted.recv(100) == b"asked before"
            accepted.sendall(b"answered after")
        assert client.recv(100) == b"answered after"


@linux
def test_a_connection_that_is_open_goes_on(listener: socket.socket) -> None:
    with connect(listener) as client:
        accepted, _ = listener.accept()
        with accepted:
            stop_new_connections(listener)
            client.sendall(b"still here")
            assert accepted.recv(100) == b"still here"


@linux
def test_it_holds_for_every_process_that_shares_the_socket(listener: socket.socket) -> None:
    with listener.dup() as the_parents:
        stop_new_connections(listener)

        with pytest.raises(TimeoutError):
            connect(the_parents, within=0.2)


def test_a_unix_socket_is_left_as_it_is() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        assert not stop_new_connections(listener)
        assert queued(listener) == 0


def test_a_socket_that_was_closed_has_no_queue(listener: socket.socket) -> None:
    listener.close()

    assert not stop_new_connections(listener)
    assert queued(listener) == 0


@linux
def test_this_processes_listening_sockets_are_found(listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket(socket.AF_UNIX), socket.socket():
        found = list(listening_sockets())
        ports = {each.getsockname()[1] for each in found}
        for each in found:
            each.close()

        assert {listener.getsockname()[1], other.getsockname()[1]} <= ports


@linux
def test_the_management_port_is_left_out(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    found = list(listening_sockets(but=port))

    assert port not in {each.getsockname()[1] for each in found}
    for each in found:
        each.close()


@linux
def test_looking_for_sockets_leaves_no_descriptor_open(listener: socket.socket) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for each in listening_sockets():
        each.close()

    assert len(os.listdir("/proc/self/fd")) == before
