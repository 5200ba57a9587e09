"""What went wrong, in one short line without credentials."""

from __future__ import annotations

import socket
import ssl

import pytest

from zdlife.checks.failure import address, failure
from zdlife.errors import CheckFailed, ZdlifeError


def raised(error: Exception, *, by: BaseException | None) -> Exception:
    """Return the error as it is after it was raised from `by`."""
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("host", "port", "written"),
    [("db", 5432, "db:5432"), ("::1", 5432, "[::1]:5432"), ("db", None, "db"), ("/run/db", None, "/run/db")],
)
def test_an_address_is_written_as_in_a_url(host: str, port: int | None, written: str) -> None:
    assert address(host, port) == written


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused by db:1"),
        (ConnectionResetError(104, "Connection reset by peer"), "db:1 closed the connection"),
        (BrokenPipeError(), "db:1 closed the connection"),
        (TimeoutError(), "no answer from db:1 in time"),
        (socket.gaierror(-2, "Name or service not known"), "the name of db:1 cannot be resolved"),
        (socket.gaierror(-3, "Temporary failure in name resolution"), "the name of db:1 cannot be resolved"),
        (ssl.SSLError(1, "no shared cipher"), "no TLS with db:1: no shared cipher"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1)"), "connection refused by db:1"),
        (
            RuntimeError("server closed the connection unexpectedly\n\tThis probably means"),
            "db:1 closed the connection",
        ),
        (RuntimeError("connection timeout expired"), "no answer from db:1 in time"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_happens_to_connections_is_said_in_the_same_words(error: Exception, said: str) -> None:
    assert str(failure(error, "db:1")).startswith(said)


def test_the_time_is_named_where_it_is_known() -> None:
    assert str(failure(TimeoutError(), "db:1", within=1.5)) == "no answer from db:1 within 1.5 s"


def test_the_cause_counts_however_a_client_wraps_it() -> None:
    by_cause = raised(RuntimeError("Error 111"), by=raised(RuntimeError("oh"), by=ConnectionRefusedError()))
    by_context = RuntimeError("Error 111")
    by_context.__context__ = ConnectionRefusedError()
    by_orig = RuntimeError("(OperationalError)")
    by_orig.orig = ConnectionRefusedError()  # type: ignore[attr-defined]

    for error in (by_cause, by_context, by_orig):
        assert str(failure(error, "db:1")) == "connection refused by db:1"


def test_a_context_that_was_put_aside_does_not_count() -> None:
    error = RuntimeError("the disk is full")
    error.__context__ = ConnectionRefusedError()
    error.__suppress_context__ = True

    assert str(failure(error, "db:1")) == "db:1: the disk is full"


def test_causes_in_a_circle_come_to_an_end() -> None:
    error = RuntimeError("round")
    error.__cause__ = error

    assert str(failure(error, "db:1")) == "db:1: round"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "RuntimeError"),
        ("  two\nlines", "two"),
        ("cannot reach redis://shop:Sesame@cache:6379/0", "cannot reach redis://…@cache:6379/0"),
        ("cannot reach redis://:p@ss@cache/0", "cannot reach redis://…@cache/0"),
        ("cannot reach redis://:pa/ss@cache/0", "cannot reach redis://…@cache/0"),
        ("bad conninfo host=db password=Sesame port=1", "bad conninfo host=db password=… port=1"),
        ("bad conninfo password='two words' port=1", "bad conninfo password=… port=1"),
        ("wrong: ?user=shop&password=Sesame&x=1", "wrong: ?user=shop&password=…&x=1"),
        (
            'connection to server at "10.0.0.1", port 1 failed: FATAL:  password authentication failed for user "shop"',
            "password authentication failed",
        ),
        (
            'connection failed: connection to server on socket "/run/.s.PGSQL.1" failed: No such file\n\tIs it up?',
            "No such file",
        ),
        ("Access denied for user 'shop'@'10.0.0.1' (using password: YES)", "Access denied (using password: YES)"),
        (
            "QueuePool limit of size 1 overflow 0 reached (Background on this error at: https://sqlalche.me/e/20/3o7r)",
            "QueuePool limit of size 1 overflow 0 reached",
        ),
    ],
)
def test_what_else_a_client_says_is_cut_to_its_point(text: str, said: str) -> None:
    assert str(failure(RuntimeError(text), "db:1")) == f"db:1: {said}"


def test_an_error_of_the_system_is_said_without_its_number() -> None:
    assert str(failure(OSError(113, "No route to host"), "db:1")) == "db:1: No route to host"


def test_a_failure_is_an_error_of_zdlifes() -> None:
    assert isinstance(failure(RuntimeError(), "db:1"), CheckFailed)
    assert issubclass(CheckFailed, ZdlifeError)
    assert issubclass(CheckFailed, RuntimeError)
