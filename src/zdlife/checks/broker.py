"""Can the broker of the message queue be reached?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zdlife.checks.arguments import package, seconds
from zdlife.checks.failure import address, failure
from zdlife.errors import WrongUse


def broker(target: Any, *, timeout: float = 1.5) -> Callable[[], None]:
    """Return a check that a connection to the broker can be opened; nothing is declared, published or consumed.

    `target` is a Celery app, a Connection of kombu's, or a broker's URL. Of several brokers, one has to answer.

    A run costs the broker one connection, with login and handshake, closed at the end; Redis is sent PING on it. The
    connections of the application are not touched. Connecting takes at most `timeout` seconds for each broker, and so
    does each wait for Redis unless its transport options say otherwise. Any thread may run it.

    Raises:
        WrongUse: here, not in the check, when an argument cannot be used.
        MissingExtra: a URL needs kombu, which is not installed.
        CheckFailed: from the check.
    """
    seconds("timeout", timeout)
    describe = _description(target)

    def check() -> None:
        described = describe()
        connection = described.clone(connect_timeout=timeout, transport_options=_patient(described, timeout))
        try:
            # Once for each broker, at once: whoever runs the check tries again.
            connection.ensure_connection(max_retries=max(0, len(connection.alt) - 1), interval_start=0, interval_step=0)
        except Exception as error:
            raise failure(error, _peer(connection)) from error
        finally:
            connection.release()

    return check


def _description(target: Any) -> Callable[[], Any]:
    """Return what gives a connection that is not opened. A Celery app is asked in the run, when it is configured."""
    if hasattr(target, "connection_for_write"):
        asked: Callable[[], Any] = target.connection_for_write
        return asked
    if hasattr(target, "ensure_connection") and hasattr(target, "clone"):
        return lambda: target
    if not isinstance(target, str):
        raise WrongUse(
            f"broker() cannot use a {type(target).__name__}. Give it a Celery app, kombu's Connection or a URL."
        )
    kombu = package("kombu", extra="kombu")
    try:
        described = kombu.Connection(target) if "://" in target else None
    except ImportError as error:
        missing = (error.name or "another package").partition(".")[0]
        raise WrongUse(f"kombu needs {missing} for the url of a broker check. Install it.") from error
    except (KeyError, ValueError):
        described = None
    if described is None:
        # What kombu says of it would quote a part, and with bad luck the password.
        raise WrongUse(
            "the url of a broker check cannot be read. Write it as for Celery, such as amqp://host or redis://host."
        )
    return lambda: described


def _patient(connection: Any, timeout: float) -> dict[str, Any]:
    """Return the transport's options, with the times that the Redis transport takes from nowhere else."""
    times = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    return {**(times if connection.transport.driver_type == "redis" else {}), **(connection.transport_options or {})}


def _peer(connection: Any) -> str:
    """Return what the broker is called where it fails; some transports keep a whole URL as the name of the host."""
    host = connection.hostname or ""
    return address(host, connection.port) if host and not {"/", "@"} & {*host} else "the broker"
