"""The broker check through kombu: a real Redis, the memory transport, and what does not answer as a broker does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support import eventually, require_module
from zdlife.checks.broker import broker
from zdlife.errors import CheckFailed


def celery_app(url: str) -> Any:
    """Return an app that has this broker."""
    return require_module("celery").Celery("shop", broker=url)


TARGETS: dict[str, Callable[[str], Any]] = {
    "url": str,
    "connection": lambda url: require_module("kombu").Connection(url),
    "celery": celery_app,
}


@pytest.fixture(params=TARGETS.values(), ids=TARGETS)
def target(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Makes what the application names its broker by."""
    require_module("redis")
    return request.param


def test_a_broker_that_answers_passes_and_nothing_stays_open(target: Any, redis_server: Any) -> None:
    server = redis_server()
    asked = require_module("redis").Redis.from_url(server.url)
    check = broker(target(server.url))

    for _ in range(5):
        assert check() is None

    eventually(lambda: asked.info("clients")["connected_clients"] == 1)
    assert asked.keys("*") == []


def test_nothing_but_ping_is_sent(target: Any, redis_server: Any) -> None:
    server = redis_server()
    broker(target(server.url))()

    asked = require_module("redis").Redis.from_url(server.url)
    sent = {name.removeprefix("cmdstat_").partition("|")[0] for name in asked.info("commandstats")}

    assert sent <= {"ping", "hello", "client", "select", "command", "info"}


def test_the_connection_of_the_application_is_left_alone(redis_server: Any) -> None:
    server = redis_server()
    with require_module("kombu").Connection(server.url) as own:
        own.connect()

        broker(own)()

        assert own.connected
        assert not own.transport_options
        own.default_channel.client.ping()


def test_a_broker_that_is_down_fails_and_passes_once_it_is_back(target: Any, redis_server: Any) -> None:
    server = redis_server()
    check = broker(target(server.url))
    check()
    server.stop()
    with pytest.raises(CheckFailed, match=rf"^connection refused by 127.0.0.1:{server.port}$"):
        check()

    server.start()

    assert check() is None


def test_a_broker_that_is_held_still_fails_in_time(target: Any, redis_server: Any) -> None:
    server = redis_server()
    check = broker(target(server.url), timeout=0.3)
    server.pause()

    with pytest.raises(CheckFailed, match=rf"^no answer from 127.0.0.1:{server.port} in time$"):
        check()

    server.resume()
    assert check() is None


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_nobody_at_the_port_is_named_without_credentials(scheme: str, refusing_port: int) -> None:
    with pytest.raises(CheckFailed, match=rf"^connection refused by 127.0.0.1:{refusing_port}$"):
        broker(f"{scheme}://shop:Sesame@127.0.0.1:{refusing_port}/0")()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
@pytest.mark.parametrize(
    "faulty", [{}, {"says": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, {"closes": True}], ids=["silent", "http", "hangs-up"]
)
def test_what_is_no_broker_fails_in_time(server_that: Any, scheme: str, faulty: dict[str, Any]) -> None:
    port = server_that(**faulty)

    with pytest.raises(CheckFailed, match=rf"127\.0\.0\.1:{port}") as failed:
        broker(f"{scheme}://shop:Sesame@127.0.0.1:{port}/0", timeout=0.3)()
    assert "Sesame" not in str(failed.value)


def test_a_wrong_password_fails_without_being_shown(target: Any, redis_server: Any) -> None:
    server = redis_server("--requirepass", "right-secret")

    with pytest.raises(CheckFailed) as failed:
        broker(target(f"redis://:wrong-secret@127.0.0.1:{server.port}/0"))()

    assert str(server.port) in str(failed.value)
    assert "wrong-secret" not in str(failed.value)


def test_of_several_brokers_one_has_to_answer(redis_server: Any, refusing_port: int) -> None:
    there, nowhere = redis_server().url, f"redis://127.0.0.1:{refusing_port}/0"

    assert broker(f"{nowhere};{there}")() is None
    with pytest.raises(CheckFailed, match="connection refused"):
        broker(f"{nowhere};{nowhere}")()


def test_the_memory_transport_passes() -> None:
    assert broker("memory://")() is None


def test_an_app_may_be_configured_after_the_check_is_defined(redis_server: Any, refusing_port: int) -> None:
    app = celery_app(f"redis://127.0.0.1:{refusing_port}/0")
    check = broker(app)

    app.conf.broker_url = redis_server().url

    assert check() is None
