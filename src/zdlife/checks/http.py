"""Does a server answer a GET as it should?"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from urllib.parse import SplitResult, urlsplit

from zdlife.checks.arguments import seconds
from zdlife.checks.failure import address, failure
from zdlife.errors import CheckFailed, WrongUse
from zdlife.version import __version__

LONGEST_BODY_BYTES = 65536
"""What is read of a body; the rest is left."""


def http(
    url: str,
    *,
    status: int | Collection[int] = range(200, 300),
    contains: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 1.5,
    context: ssl.SSLContext | None = None,
) -> Callable[[], None]:
    """Return a check that a GET of `url` is answered with `status`, and with `contains` in its first 64 KiB.

    A run costs the dependency one connection and one GET. No redirect is followed, no proxy of the environment is used,
    and credentials go into `headers`. `context` is for a certificate that the system does not trust.

    No single wait is longer than `timeout` seconds, nor is the reading of the body. Any thread may run it.

    Raises:
        WrongUse: here, not in the check, when an argument cannot be used.
        CheckFailed: from the check. Neither the URL's query nor anything of the answer but its status is in it.
    """
    target = _split(url)
    accepted = frozenset({status} if isinstance(status, int) else status)
    if not accepted or not all(100 <= code < 600 for code in accepted):
        raise WrongUse(f"status={status!r} should be one or more numbers from 100 to 599, such as 200.")
    if contains is not None and not contains:
        raise WrongUse("contains is empty, which every body contains. Leave it out.")
    sought = contains.encode() if isinstance(contains, str) else contains
    seconds("timeout", timeout)
    host, port = target.hostname or "", target.port
    peer = address(host, port or (443 if target.scheme == "https" else 80))
    tls = context or ssl.create_default_context() if target.scheme == "https" else None
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    sent = {"User-Agent": f"zdlife/{__version__}", "Accept": "*/*", "Connection": "close", **(headers or {})}

    def connect() -> HTTPConnection:
        """Return a connection on which the request is written and nothing is sent."""
        made = HTTPSConnection(host, port, timeout=timeout, context=tls) if tls else HTTPConnection(host, port, timeout)
        made.putrequest("GET", path)
        for name, value in sent.items():
            made.putheader(name, value)
        return made

    def check() -> None:
        connection = connect()
        try:
            connection.endheaders()
            with connection.getresponse() as response:
                code, body = response.status, _read(response, timeout)
        except OSError as error:
            raise failure(error, peer, within=timeout) from error
        except HTTPException as error:
            raise CheckFailed(f"{peer} does not answer in HTTP: {type(error).__name__}") from error
        finally:
            connection.close()
        if code not in accepted:
            hint = "; redirects are not followed" if 300 <= code < 400 else ""
            raise CheckFailed(f"{peer} answered {code} to GET {target.path or '/'}{hint}")
        if sought is not None and sought not in body:
            raise CheckFailed(f"{peer} answered {code} to GET {target.path or '/'} without what it should contain")

    try:
        connect()
    except (HTTPException, ValueError, TypeError):
        raise WrongUse("the URL or a header has a character that cannot be sent. Percent-encode it.") from None
    return check


def _split(url: str) -> SplitResult:
    """Return the parts of a URL, none of which is ever shown if it cannot be used: a password may stand anywhere."""
    try:
        target = urlsplit(url)
        usable = target.scheme in ("http", "https") and target.hostname and target.port != 0
    except ValueError:
        usable = False
        target = urlsplit("")
    if not usable:
        raise WrongUse("the url of an http check cannot be used. Write http:// or https://, a host, and a path.")
    if target.username is not None:
        raise WrongUse('the url of an http check holds credentials. Give them as headers={"Authorization": ...}.')
    return target


def _read(response: HTTPResponse, within: float) -> bytes:
    """Return the beginning of a body.

    Raises:
        OSError: it takes too long to come, or ends before its length.
    """
    deadline = monotonic() + within
    body = b""
    while len(body) < LONGEST_BODY_BYTES and (piece := response.read1(LONGEST_BODY_BYTES - len(body))):
        body += piece
        if monotonic() > deadline:
            raise TimeoutError
    if len(body) < LONGEST_BODY_BYTES and response.length:
        raise ConnectionResetError
    return body
