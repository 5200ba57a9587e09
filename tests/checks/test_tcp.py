"""The TCP check against ports that are listened on, and one that is not."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from zdlife.checks.tcp import tcp
from zdlife.errors import CheckFailed


def test_a_port_that_is_listened_on_passes_and_the_connection_is_closed(server_that: Any) -> None:
    assert tcp("127.0.0.1", server_that())() is None


def test_nothing_is_sent_and_the_connection_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tcp("127.0.0.1", listener.getsockname()[1])()
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(1) == b""


def test_a_port_that_nobody_listens_on_is_named(refusing_port: int) -> None:
    with pytest.raises(CheckFailed, match=rf"^connection refused by 127.0.0.1:{refusing_port}$"):
        tcp("127.0.0.1", refusing_port)()


def test_a_name_that_there_is_not_is_named() -> None:
    with pytest.raises(CheckFailed, match=r"^the name of db.invalid:5432 cannot be resolved$"):
        tcp("db.invalid", 5432)()


def test_a_port_that_drops_what_comes_fails_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))

        with pytest.raises(CheckFailed, match=rf"^no answer from 127.0.0.1:{port} within 0.2 s$"):
            tcp("127.0.0.1", port, timeout=0.2)()

        for filler in fillers:
            filler.close()
