"""Connections that are half-closed wait for their clients in a thread of their own; with pairs of connected sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from time import monotonic

import pytest

from support import eventually
from zdlife.servers import lingering
from zdlife.servers.lingering import Lingerer


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of one connection."""
    server, client = socket.socketpair()
    client.settimeout(5)
    with server, client:
        yield server, client


@pytest.fixture
def lingerer() -> Lingerer:
    return Lingerer()


def test_the_client_gets_all_that_was_sent_and_the_end(
    lingerer: Lingerer, pair: tuple[socket.socket, socket.socket]
) -> None:
    server, client = pair
    server.sendall(b"the end of the response")
    lingerer.close_graceful(server)

    assert client.recv(100) == b"the end of the response"
    assert client.recv(100) == b""


def test_the_caller_does_not_wait(lingerer: Lingerer, pair: tuple[socket.socket, socket.socket]) -> None:
    server, _client = pair
    before = monotonic()
    lingerer.close_graceful(server)

    assert monotonic() - before < lingering.LINGER / 2
    assert server.fileno() == -1


def test_it_closes_when_the_client_has_closed(lingerer: Lingerer, pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    lingerer.close_graceful(server)
    client.close()

    assert lingerer.wait(1)


def test_it_closes_in_the_end_although_the_client_does_not(
    lingerer: Lingerer, pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER", 0.1)
    server, client = pair
    lingerer.close_graceful(server)

    assert lingerer.wait(5)
    with pytest.raises(BrokenPipeError):
        client.sendall(b"too late")


def test_what_the_client_still_sends_is_read_and_thrown_away(
    lingerer: Lingerer, pair: tuple[socket.socket, socket.socket]
) -> None:
    server, client = pair
    lingerer.close_graceful(server)
    client.sendall(b"x" * 5000)
    client.shutdown(socket.SHUT_WR)

    assert lingerer.wait(1)
    assert client.recv(100) == b""


def test_a_client_that_goes_on_sending_is_cut_off(
    lingerer: Lingerer, pair: tuple[socket.socket, socket.socket]
) -> None:
    server, client = pair
    lingerer.close_graceful(server)

    def sent() -> bool:
        try:
            client.sendall(b"x" * 4096)
        except OSError:
            return True
        return False

    eventually(sent, within=lingering.LINGER / 2)


def test_many_wait_together(lingerer: Lingerer) -> None:
    pairs = [socket.socketpair() for _ in range(50)]
    before = monotonic()
    for server, _ in pairs:
        lingerer.close_graceful(server)
    for _, client in pairs:
        client.close()

    assert lingerer.wait(5)
    assert monotonic() - before < lingering.LINGER


def test_a_socket_that_is_closed_already_is_passed_over(
    lingerer: Lingerer, pair: tuple[socket.socket, socket.socket]
) -> None:
    server, _ = pair
    server.close()
    lingerer.close_graceful(server)

    assert lingerer.wait(0)
