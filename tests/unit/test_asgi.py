"""The ASGI middleware: raw messages in and out, probes, counts, and what leaving changes."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from support import eventually_async
from unit.fakes import Connection, FakeServer, bring_to, http_scope, life_of, reach, records, websocket_scope
from zdlife import Lifecycle, Phase
from zdlife.asgi import ASGIApp, LifecycleMiddleware, Message, Receive, Scope, Send
from zdlife.process.inflight import Piece

PLAIN = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
LIFESPAN = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
    await send({"type": "http.response.body", "body": b"o", "more_body": True})
    await send({"type": "http.response.body", "body": b"k"})


async def not_to_be_reached(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError(scope)


def call(app: ASGIApp, scope: Scope, *received: dict[str, Any]) -> Connection:
    """Run one call of `app` in a loop of its own, to its end."""
    connection = Connection(*received)
    asyncio.run(asyncio.wait_for(_awaited(app(scope, connection.receive, connection.send)), 10))
    return connection


async def _awaited(call: Awaitable[None]) -> None:
    await call


@pytest.fixture
def life() -> Lifecycle:
    """A lifecycle that is ready."""
    life = life_of()
    bring_to(Phase.READY, life)
    return life


# Requests.


def test_messages_pass_through_untouched(life: Lifecycle) -> None:
    found = call(LifecycleMiddleware(answering, life), http_scope())

    assert found.sent == call(answering, http_scope()).sent


def test_the_application_gets_the_servers_own_scope_and_receive(life: Lifecycle) -> None:
    got: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got.extend((scope, receive))

    scope, connection = http_scope(), Connection()
    asyncio.run(LifecycleMiddleware(app, life)(scope, connection.receive, connection.send))

    assert got[0] is scope
    assert got[1] == connection.receive


def test_a_request_is_in_flight_until_the_application_returns(life: Lifecycle) -> None:
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(scope, receive, send)
        seen.append(len(life.inflight))  # A background task of Starlette's runs here, after the last byte.

    call(LifecycleMiddleware(app, life), http_scope())

    assert (seen, len(life.inflight)) == ([1], 0)


def test_an_application_that_raises_is_counted_out(life: Lifecycle) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        call(LifecycleMiddleware(app, life), http_scope())

    assert len(life.inflight) == 0


def test_a_cancelled_request_is_counted_out(life: Lifecycle) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        connection = Connection()
        task = asyncio.ensure_future(LifecycleMiddleware(app, life)(http_scope(), connection.receive, connection.send))
        await eventually_async(lambda: len(life.inflight) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert len(life.inflight) == 0


def test_a_client_that_is_gone_is_counted_out(life: Lifecycle) -> None:
    async def gone(message: Any) -> None:
        raise OSError("the client is gone")

    with pytest.raises(OSError, match="the client is gone"):
        asyncio.run(LifecycleMiddleware(answering, life)(http_scope(), Connection().receive, gone))

    assert len(life.inflight) == 0


def test_the_request_is_named_with_its_template_and_the_stack_of_its_task(life: Lifecycle) -> None:
    async def view(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = SimpleNamespace(path="/orders/{id}")
        await receive()

    async def main() -> Piece:
        connection = Connection()
        scope = http_scope("/orders/7", headers=[(b"x-request-id", b"r-1")])
        task = asyncio.ensure_future(LifecycleMiddleware(view, life)(scope, connection.receive, connection.send))
        await asyncio.sleep(0)
        (piece,) = life.inflight.pieces(0.0, stacks=True)
        connection.inbox.put_nowait({"type": "http.disconnect"})
        await task
        return piece

    piece = asyncio.run(main())

    assert (piece.method, piece.route, piece.id) == ("GET", "/orders/{id}", "r-1")
    assert any(frame.endswith(" view") for frame in piece.stack)


# Connection: close.


@pytest.mark.parametrize("phase", [Phase.SETTLING, Phase.DRAINING])
def test_answers_close_their_connections_while_leaving(phase: Phase) -> None:
    life = life_of()
    bring_to(phase, life)
    found = call(LifecycleMiddleware(answering, life), http_scope())

    assert found.headers == [*PLAIN, (b"connection", b"close")]


def test_answers_keep_their_connections_before(life: Lifecycle) -> None:
    assert call(LifecycleMiddleware(answering, life), http_scope()).headers == PLAIN


def test_the_applications_own_connection_header_gives_way() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Connection", b"keep-alive")]})
        await send({"type": "http.response.body"})

    life = life_of()
    bring_to(Phase.SETTLING, life)

    assert call(LifecycleMiddleware(app, life), http_scope()).headers == [(b"connection", b"close")]


@pytest.mark.parametrize("headers", [{}, {"headers": iter(PLAIN)}], ids=["none", "an-iterator"])
def test_any_headers_that_asgi_allows_can_be_closed(headers: dict[str, Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, **headers})
        await send({"type": "http.response.body"})

    life = life_of()
    bring_to(Phase.SETTLING, life)

    assert call(LifecycleMiddleware(app, life), http_scope()).headers[-1] == (b"connection", b"close")


@pytest.mark.parametrize(("version", "closes"), [("1.0", True), ("1.1", True), ("2", False), ("3", False)])
def test_only_http_1_has_such_a_header(version: str, closes: bool) -> None:
    life = life_of()
    bring_to(Phase.SETTLING, life)
    found = call(LifecycleMiddleware(answering, life), http_scope(http_version=version))

    assert ((b"connection", b"close") in found.headers) == closes


def test_a_message_of_the_applications_is_not_changed_in_place() -> None:
    start: Message = {"type": "http.response.start", "status": 200, "headers": list(PLAIN)}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)

    life = life_of()
    bring_to(Phase.SETTLING, life)
    call(LifecycleMiddleware(app, life), http_scope())

    assert start["headers"] == PLAIN


def test_an_answer_that_begins_after_the_signal_closes_although_its_request_came_before() -> None:
    life = life_of()
    server = bring_to(Phase.READY, life)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        server.signal(signal.SIGTERM)
        await answering(scope, receive, send)

    assert (b"connection", b"close") in call(LifecycleMiddleware(app, life), http_scope()).headers


# Late arrivals.


@pytest.mark.parametrize("client", [("192.0.2.1", 50000), None], ids=["tcp", "unix"])
def test_a_request_that_comes_after_the_settle_is_late(client: tuple[str, int] | None) -> None:
    life = life_of()
    bring_to(Phase.DRAINING, life)
    call(LifecycleMiddleware(answering, life), http_scope("/late", method="PUT", client=client))
    found = life.late.as_dict()

    assert found["count"] == 1
    assert {**found["arrivals"][0], "delay": 0} == {
        "delay": 0,
        "peer": client and client[0],
        "method": "PUT",
        "route": "/late",
    }


@pytest.mark.parametrize("phase", [Phase.READY, Phase.SETTLING])
def test_a_request_that_comes_before_the_settle_has_ended_is_not_late(phase: Phase) -> None:
    life = life_of()
    bring_to(phase, life)
    call(LifecycleMiddleware(answering, life), http_scope())

    assert life.late.count == 0


# Probes.


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/version"])
def test_a_probe_does_not_reach_the_application(life: Lifecycle, path: str) -> None:
    found = call(LifecycleMiddleware(not_to_be_reached, life), http_scope(path))

    assert found.types == ["http.response.start", "http.response.body"]
    assert found.status == 200
    assert json.loads(found.body)


def test_a_probe_is_no_request(life: Lifecycle) -> None:
    call(LifecycleMiddleware(not_to_be_reached, life), http_scope("/livez"))

    assert (life.inflight.begun, life.inflight.last_arrival) == (0, None)


def test_a_probe_is_answered_below_a_root_path(life: Lifecycle) -> None:
    found = call(LifecycleMiddleware(not_to_be_reached, life), http_scope("/api/readyz", root_path="/api"))

    assert found.status == 200


def test_a_probe_over_head_has_no_body(life: Lifecycle) -> None:
    found = call(LifecycleMiddleware(not_to_be_reached, life), http_scope("/readyz", method="HEAD"))

    assert (found.status, found.body) == (200, b"")


def test_a_probe_closes_its_connection_while_leaving() -> None:
    life = life_of()
    bring_to(Phase.SETTLING, life)
    found = call(LifecycleMiddleware(not_to_be_reached, life), http_scope("/readyz"))

    assert found.status == 503
    assert (b"connection", b"close") in found.headers


def test_a_probes_headers_are_lower_case_bytes(life: Lifecycle) -> None:
    found = call(LifecycleMiddleware(not_to_be_reached, life), http_scope("/readyz"))

    assert all(isinstance(value, bytes) and name == name.lower() for name, value in found.headers)


def test_a_websocket_at_a_probes_path_is_the_applications(life: Lifecycle) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    found = call(LifecycleMiddleware(app, life), websocket_scope("/livez"), {"type": "websocket.connect"})

    assert found.types == ["websocket.close"]


# WebSockets; what happens inside one is in test_websockets.py.


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def test_a_websocket_is_in_flight_until_it_ends(life: Lifecycle) -> None:
    async def main() -> list[int]:
        connection = Connection({"type": "websocket.connect"})
        app = LifecycleMiddleware(echo, life)
        task = asyncio.ensure_future(app(websocket_scope(), connection.receive, connection.send))
        await eventually_async(lambda: "websocket.accept" in connection.types)
        counts = [len(life.inflight)]
        connection.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await task
        return [*counts, len(life.inflight)]

    assert asyncio.run(main()) == [1, 0]


def test_a_websocket_that_comes_while_settling_is_served() -> None:
    life = life_of()
    bring_to(Phase.SETTLING, life)
    found = call(
        LifecycleMiddleware(echo, life),
        websocket_scope(),
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.disconnect", "code": 1000},
    )

    assert found.types == ["websocket.accept", "websocket.send"]


def test_a_websocket_that_comes_after_the_settle_is_refused_with_503() -> None:
    life = life_of()
    bring_to(Phase.DRAINING, life)
    scope = websocket_scope(extensions={"websocket.http.response": {}})
    found = call(LifecycleMiddleware(not_to_be_reached, life), scope, {"type": "websocket.connect"})

    assert found.types == ["websocket.http.response.start", "websocket.http.response.body"]
    assert found.status == 503
    assert (b"retry-after", b"1") in found.headers


@pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {}}], ids=["absent", "none", "empty"])
def test_it_is_refused_with_1012_where_the_server_knows_no_other_way(extensions: dict[str, Any]) -> None:
    life = life_of()
    bring_to(Phase.DRAINING, life)
    scope = websocket_scope(**extensions)
    found = call(LifecycleMiddleware(not_to_be_reached, life), scope, {"type": "websocket.connect"})

    assert [(message["type"], message["code"]) for message in found.sent] == [("websocket.close", 1012)]


def test_a_websocket_that_is_refused_is_late_and_not_in_flight() -> None:
    life = life_of()
    bring_to(Phase.DRAINING, life)
    call(LifecycleMiddleware(not_to_be_reached, life), websocket_scope(), {"type": "websocket.connect"})

    assert (life.late.count, len(life.inflight)) == (1, 0)


# The lifespan.


async def with_a_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def lifespan(
    app: ASGIApp, life: Lifecycle, while_serving: Callable[[FakeServer], None] = lambda server: None
) -> Connection:
    """Run the whole lifespan of `app` under a server that begins it, and return what was sent."""

    async def main() -> Connection:
        server, connection = FakeServer(), Connection({"type": "lifespan.startup"})
        life.begin(server, loop=asyncio.get_running_loop())
        wrapped = LifecycleMiddleware(app, life)
        task = asyncio.ensure_future(wrapped(dict(LIFESPAN), connection.receive, connection.send))
        await eventually_async(lambda: connection.sent or task.done())
        if not task.done():
            await asyncio.to_thread(while_serving, server)
            connection.inbox.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait_for(task, 10)
        return connection

    return asyncio.run(main())


def test_startup_and_shutdown_pass_through() -> None:
    assert lifespan(with_a_lifespan, life_of()).types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_it_is_ready_when_the_application_has_started() -> None:
    life = life_of()
    ready: list[bool] = []
    lifespan(with_a_lifespan, life, lambda server: ready.append(life.ready))

    assert ready == [True]


def test_it_is_not_ready_while_the_application_starts() -> None:
    life = life_of()
    ready: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        ready.append(life.ready)
        await with_a_lifespan(scope, receive, send)

    async def main() -> None:
        connection = Connection(
            {"type": "lifespan.startup"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
        )
        life.begin(FakeServer(), loop=asyncio.get_running_loop())
        await LifecycleMiddleware(app, life)(dict(LIFESPAN), connection.receive, connection.send)

    asyncio.run(main())

    assert ready == [False]


def test_an_application_that_fails_to_start_is_not_ready() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    life = life_of()
    found = lifespan(app, life)

    assert found.types == ["lifespan.startup.failed"]
    assert not life.ready


def test_the_stop_hooks_run_before_the_applications_own_shutdown() -> None:
    life = life_of(settle=0, settle_max=0)
    order: list[str] = []
    life.on_stop(lambda: order.append("stop hook"))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        order.append("application's shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    lifespan(app, life, lambda server: server.signal(signal.SIGTERM))

    assert order == ["stop hook", "application's shutdown"]


def test_the_report_is_written_before_the_shutdown_is_complete(tmp_path: Any) -> None:
    path = tmp_path / "report.jsonl"
    lifespan(with_a_lifespan, life_of(settle=0, settle_max=0, report=path))

    assert [record["server"] for record in records(path)] == ["fake"]


def test_a_shutdown_that_fails_is_passed_on_and_reported(tmp_path: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "sorry"})

    path = tmp_path / "report.jsonl"
    found = lifespan(app, life_of(report=path))

    assert found.types == ["lifespan.startup.complete", "lifespan.shutdown.failed"]
    assert records(path)


def test_an_application_without_a_lifespan_says_so_to_the_server_and_is_ready() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    life = life_of()
    with pytest.raises(NotImplementedError):
        lifespan(app, life)

    reach(Phase.READY, life)


def test_an_application_that_breaks_after_its_start_is_heard() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("in the shutdown")

    with pytest.raises(ValueError, match="in the shutdown"):
        lifespan(app, life_of())


def test_times_that_cannot_fit_refuse_the_start() -> None:
    life = life_of(strict=True, grace=1, drain=5)

    async def main() -> Connection:
        connection = Connection({"type": "lifespan.startup"})
        await LifecycleMiddleware(not_to_be_reached, life)(dict(LIFESPAN), connection.receive, connection.send)
        return connection

    found = asyncio.run(main())

    assert found.types == ["lifespan.startup.failed"]
    assert "ZDLIFE_GRACE" in found.sent[0]["message"]


# What else there is.


def test_the_first_request_begins_a_life_that_no_lifespan_has_begun() -> None:
    life = life_of()
    found = call(LifecycleMiddleware(answering, life), http_scope())

    assert (found.body, life.begun, life.ready) == (b"ok", True, True)


def test_the_kill_switch_leaves_nothing_but_the_application() -> None:
    life = life_of(enabled=False)
    app = LifecycleMiddleware(answering, life)
    found = call(app, http_scope("/readyz"))

    assert found.body == b"ok"
    assert (life.begun, life.inflight.begun) == (False, 0)


def test_the_kill_switch_leaves_the_lifespan_alone() -> None:
    life = life_of(enabled=False)
    connection = Connection({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    asyncio.run(LifecycleMiddleware(with_a_lifespan, life)(dict(LIFESPAN), connection.receive, connection.send))

    assert connection.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not life.begun


def test_a_scope_of_another_kind_is_the_applications(life: Lifecycle) -> None:
    kinds: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kinds.append(scope["type"])

    call(LifecycleMiddleware(app, life), {"type": "webtransport"})

    assert kinds == ["webtransport"]
    assert life.inflight.begun == 0
