"""What is wrong with a dependency, in one short line: its address may stand in it, its credentials never do."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping

from zdlife.errors import CheckFailed
from zdlife.process.calls import without_credentials

MOST_CAUSES = 10
"""How far the causes of an error are followed; they may run in a circle."""

_NOISE = re.compile(
    r"""^connection\ failed:\s
    | connection\ to\ server\ (?:at|on)\ .*?\ failed:\s
    | FATAL:\s+
    | \s\(Background\ on\ this\ error\ at:.*?\)
    """,
    re.VERBOSE,
)
"""What libpq and SQLAlchemy say around the one thing that matters."""

_SAID: Mapping[type[BaseException], str] = {
    ConnectionRefusedError: "connection refused by {peer}",
    ConnectionResetError: "{peer} closed the connection",
    BrokenPipeError: "{peer} closed the connection",
    TimeoutError: "no answer from {peer} {time}",
    socket.gaierror: "the name of {peer} cannot be resolved",
    ssl.SSLCertVerificationError: "the certificate of {peer} is not trusted: {why}",
    ssl.SSLError: "no TLS with {peer}: {why}",
}
"""What happened to a connection; the first that fits says it."""

_IN_WORDS: Mapping[str, str] = {
    "connection refused": "connection refused by {peer}",
    "connect call failed": "connection refused by {peer}",
    "name or service not known": "the name of {peer} cannot be resolved",
    "connection timeout expired": "no answer from {peer} in time",
    "connection closed by server": "{peer} closed the connection",
    "closed the connection unexpectedly": "{peer} closed the connection",
    "server unexpectedly closed connection": "{peer} closed the connection",
}
"""The same, where a client says it in words alone: asyncio, libpq, redis-py, amqp."""


def address(host: str, port: int | None) -> str:
    """Return a host and its port as they are written in a URL."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def failure(error: BaseException, peer: str, *, within: float | None = None) -> CheckFailed:
    """Return what to raise for an error that a client raised while it spoke to `peer`.

    `within` is how long the client was told to wait, in seconds, where that is known.
    """
    for cause in _causes(error):
        said = _network(cause, peer, within)
        if said is not None:
            return CheckFailed(said)
    return CheckFailed(f"{peer}: {_brief(error)}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, and then what caused it; SQLAlchemy keeps the driver's error in `orig`."""
    cause: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if cause is None:
            return
        yield cause
        wrapped = getattr(cause, "orig", None)
        if isinstance(wrapped, BaseException):
            cause = wrapped
        else:
            cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _network(error: BaseException, peer: str, within: float | None) -> str | None:
    """Return what happened to a connection, or None if `error` says nothing of one."""
    text = str(error).lower()
    for words, said in _IN_WORDS.items():
        if words in text:
            return said.format(peer=peer)
    time = "in time" if within is None else f"within {within:g} s"
    why = getattr(error, "verify_message", None) or getattr(error, "reason", None) or _brief(error)
    for kind, said in _SAID.items():
        if isinstance(error, kind):
            return said.format(peer=peer, time=time, why=why)
    return None


def _brief(error: BaseException) -> str:
    """Return the first line that an error says, without what surrounds it and without credentials."""
    wrapped = getattr(error, "orig", None)
    inner = wrapped if isinstance(wrapped, BaseException) else error
    said = (inner.strerror if isinstance(inner, OSError) else None) or str(inner)
    line = _NOISE.sub("", next(iter(said.strip().splitlines()), ""))
    return without_credentials(line) or type(error).__name__
