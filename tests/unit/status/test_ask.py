"""An address is read as people write it, and whoever else answers there is told from an instance."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from support import require_root
from support.facts import status
from support.management import ManagementPort
from zdlife.errors import WrongUse
from zdlife.process.board import Board
from zdlife.process.layout import MAGIC, SIZE_BYTES
from zdlife.status.ask import Address, address_of, ask, of_page


@pytest.mark.parametrize(
    ("text", "port", "expected"),
    [
        pytest.param(None, "9100", Address("127.0.0.1", 9100), id="from-the-environment"),
        pytest.param("9200", "9100", Address("127.0.0.1", 9200), id="port"),
        pytest.param("10.0.0.7:9200", None, Address("10.0.0.7", 9200), id="host-and-port"),
        pytest.param("shop-7", "9100", Address("shop-7", 9100), id="host"),
        pytest.param("[::1]:9200", None, Address("::1", 9200), id="ipv6"),
        pytest.param("http://shop-7:9200/", None, Address("shop-7", 9200), id="url"),
        pytest.param("http://shop-7:9200/status", None, Address("shop-7", 9200), id="url-of-the-facts"),
        pytest.param(
            "https://shop.internal/shop-7/",
            "9100",
            Address("shop.internal", 443, "/shop-7/status", secure=True),
            id="behind-a-proxy",
        ),
    ],
)
def test_an_address_is_read_as_it_is_written(text: str | None, port: str | None, expected: Address) -> None:
    assert address_of(text, port=port) == expected


@pytest.mark.parametrize(
    "text",
    [
        "shop-7",
        "shop:many",
        "shop:70000",
        "0",
        "ftp://shop:9",
        "http://",
        "a b:1",
        "a..b:1",
        "http://[::1:9/",
        "ä\x1b:9",
    ],
)
def test_what_is_no_address_is_said_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(WrongUse, match=r"Write a port, host:port or a URL") as raised:
        address_of(text, port=None)
    assert str(raised.value).isprintable()


def test_without_an_address_it_is_said_what_to_name() -> None:
    with pytest.raises(WrongUse, match="set ZDLIFE_MANAGEMENT_PORT here"):
        address_of(None, port=None)


def test_the_facts_are_what_the_instance_answered() -> None:
    with ManagementPort(status()) as port:
        assert ask(Address("127.0.0.1", port.port)) == status()
        assert port.asked == ["/status"]


def test_where_nothing_listens_the_port_is_asked_for() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", held.getsockname()[1])
        with pytest.raises(WrongUse, match=rf"nothing answers at {address} .*ZDLIFE_MANAGEMENT_PORT={address.port}\?"):
            ask(address)


@pytest.mark.parametrize(
    ("answer", "media_type"),
    [
        pytest.param(b"<h1>It works!</h1>", "text/html", id="html"),
        pytest.param(b'{"status": "UP"}', "application/json", id="json-of-others"),
        pytest.param(b'{"zdlife": "0.1.0", "kind": "arrival"}', "application/json", id="another-kind"),
        pytest.param(b"[1]", "application/json", id="a-list"),
        pytest.param(b"\xff\xfe\x00", "application/octet-stream", id="garbage"),
    ],
)
def test_a_foreign_server_is_said_to_be_one(answer: bytes, media_type: str) -> None:
    foreign = rf"not as a management port of zdlife does \(200 OK, {media_type}\)"
    with ManagementPort({}, answer=answer, media_type=media_type) as port, pytest.raises(WrongUse, match=foreign):
        ask(Address("127.0.0.1", port.port))


def test_one_that_speaks_no_http_is_foreign_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = Address("127.0.0.1", server.getsockname()[1])
        greeting = _greets(server, b"220 mail.example ESMTP\r\n")
        with pytest.raises(WrongUse, match="not as a management port of zdlife does"):
            ask(client)
        greeting.join()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{", id="half-an-answer"),
    ],
)
def test_one_that_goes_silent_is_given_up(sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address("127.0.0.1", server.getsockname()[1])
        held: list[socket.socket] = []
        greeting = _greets(server, sent, keep=held)
        with pytest.raises(WrongUse, match=rf"{address} does not answer within 200 ms"):
            ask(address, patience=0.2)
        greeting.join()
        held[0].close()


def _greets(server: socket.socket, sent: bytes, *, keep: list[socket.socket] | None = None) -> threading.Thread:
    """Have the next client of `server` be sent this."""

    def greet() -> None:
        connection, _ = server.accept()
        connection.sendall(sent)
        if keep is None:
            connection.close()
        else:
            keep.append(connection)

    thread = threading.Thread(target=greet)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"x" * SIZE_BYTES, id="of-another"),
        pytest.param(MAGIC.to_bytes(8, sys.byteorder), id="too-short"),
    ],
)
def test_a_file_that_is_no_page_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "page"
    file.write_bytes(content)
    with pytest.raises(WrongUse, match="is no page of this version of zdlife"):
        of_page(file)
    assert file.read_bytes() == content


def test_a_page_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot be read: No such file"):
        of_page(tmp_path / "page")
    assert list(tmp_path.iterdir()) == []


def test_a_page_of_another_user_is_refused_with_what_to_do(tmp_path: Path) -> None:
    require_root("only root can give a file away")
    file = tmp_path / "page"
    file.write_bytes(MAGIC.to_bytes(8, sys.byteorder).ljust(SIZE_BYTES, b"\0"))
    os.chown(file, 65534, 65534)
    with pytest.raises(WrongUse, match="Ask as the user that the workers run as"):
        of_page(file)


def test_the_facts_on_a_page_are_those_of_the_instance(tmp_path: Path) -> None:
    file = tmp_path / "page"
    board = Board.at(file)
    facts = of_page(file)
    assert facts["kind"] == "status"
    assert facts["workers"]["each"] == []
    assert board.path == file
