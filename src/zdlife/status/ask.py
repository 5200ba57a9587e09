"""Get the facts of an instance: over HTTP from its management port, or from the page its spawned workers share."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from zdlife.errors import BoardError, WrongUse
from zdlife.probes.wording import Facts, clean, duration
from zdlife.process.board import Board
from zdlife.process.layout import MAGIC, SIZE_BYTES

PORT_VARIABLE = "ZDLIFE_MANAGEMENT_PORT"
PATIENCE = 2.0
LARGEST_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where a management port is."""

    host: str
    port: int
    path: str = "/status"
    secure: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: str | None, *, port: str | None) -> Address:
    """Return the address in `text`: a port, `host:port` or a URL. `port` stands in where it names none.

    Raises:
        WrongUse: it is none of these, or no port is known.
    """
    if not (text or port):
        raise WrongUse(
            f"which instance? Name its management port, as in zdlife status 127.0.0.1:9100, or set {PORT_VARIABLE} "
            "here to what it is in the service."
        )
    named = text or "127.0.0.1"
    if "://" not in named:
        named = f"http://127.0.0.1:{named}" if named.isdecimal() else f"http://{named}"
        usual = port
    else:
        usual = "443" if named.startswith("https:") else "80"
    try:
        parts = urlsplit(named)
        host = (parts.hostname or "").encode("idna").decode()
        found = parts.port or int(usual or 0)
    except ValueError:
        parts, host, found = urlsplit(""), "", 0
    plain = named.isascii() and named.isprintable() and " " not in named
    if parts.scheme not in ("http", "https") or not (plain and host) or not 0 < found < 65536:
        raise WrongUse(
            f"{clean(text or port)!r} is no address with a port. Write a port, host:port or a URL, as in zdlife status "
            "127.0.0.1:9100."
        )
    path = f"{parts.path.removesuffix('/status').rstrip('/')}/status"
    return Address(host=host, port=found, path=path, secure=parts.scheme == "https")


def ask(address: Address, *, patience: float = PATIENCE) -> Facts:
    """Return what is answered within `patience` seconds.

    Raises:
        WrongUse: nothing answers there, or somebody else does.
    """
    kind = HTTPSConnection if address.secure else HTTPConnection
    connection = kind(address.host, address.port, timeout=patience)
    deadline = time.monotonic() + patience
    try:
        connection.request("GET", address.path, headers={"accept": "application/json", "connection": "close"})
        response = connection.getresponse()
        return _facts(_body(response, deadline), said=_said(response), address=address)
    except TimeoutError:
        raise WrongUse(
            f"{address} does not answer within {duration(patience)}. Is it the management port, and is its machine up?"
        ) from None
    except HTTPException as error:
        raise _foreign(address, type(error).__name__) from None
    except OSError as error:
        raise WrongUse(
            f"nothing answers at {address} ({clean(error.strerror or error)}). Is the service running there, with "
            f"{PORT_VARIABLE}={address.port}?"
        ) from None
    finally:
        connection.close()


def of_page(path: Path) -> Facts:
    """Return what stands on the page that spawned workers share, which is the file at `path`.

    Raises:
        WrongUse: it is no such file, or not this user's.
    """
    from zdlife.probes.facts import of_board

    try:
        with path.open("rb") as file:
            begins = file.read(8)
            found = os.fstat(file.fileno())
    except OSError as error:
        raise WrongUse(
            f"{path} cannot be read: {error.strerror}. Name the file that the workers keep below ZDLIFE_BOARD_DIR."
        ) from None
    # Whoever opens a page makes of the file what a page should be; another's file is not to be changed for a question.
    if begins != MAGIC.to_bytes(8, sys.byteorder) or found.st_size < SIZE_BYTES:
        raise WrongUse(
            f"{path} is no page of this version of zdlife. Name the file that the workers keep below ZDLIFE_BOARD_DIR, "
            "and use the zdlife that is installed with them."
        )
    if found.st_uid != os.geteuid():
        raise WrongUse(
            f"{path} is another user's, and so is what stands in it. Ask as the user that the workers run as."
        )
    try:
        board = Board.at(path)
    except BoardError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from None
    try:
        facts: Facts = of_board(board)
        return facts
    finally:
        board.close()


def _body(response: HTTPResponse, deadline: float) -> bytes:
    """Return the whole body; one that is endless, or comes too slowly, is given up."""
    read = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        read += chunk
        if time.monotonic() > deadline or len(read) > LARGEST_BYTES:
            raise TimeoutError
    return bytes(read)


def _facts(body: bytes, *, said: str, address: Address) -> Facts:
    try:
        found = json.loads(body)
    except ValueError:
        raise _foreign(address, said) from None
    if not isinstance(found, dict) or "zdlife" not in found or found.get("kind") != "status":
        raise _foreign(address, said)
    return found


def _said(response: HTTPResponse) -> str:
    return clean(f"{response.status} {response.reason}, {response.headers.get_content_type()}", longest=60)


def _foreign(address: Address, said: str) -> WrongUse:
    return WrongUse(
        f"{address} answers {address.path}, but not as a management port of zdlife does ({said}). "
        f"Name the port that {PORT_VARIABLE} has in the service."
    )
