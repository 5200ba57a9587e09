"""The WSGI middleware: PEP 3333 to the letter on both sides, and every request counted out on every path."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO, StringIO
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from unit.fakes import FakeServer, bring_to, environ, life_of, reach
from zdlife import Lifecycle, Phase
from zdlife.wsgi import Environ, LifecycleMiddleware, StartResponse, WSGIApp


class Response:
    """What a server saw of one request; `Closing` and the like tell it what happened behind the middleware."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.exc_info: Any = None
        self.written: list[bytes] = []

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        self.status, self.headers, self.exc_info = status, headers, exc_info
        return self.written.append


class Closing:
    """A body that knows whether it was closed."""

    def __init__(self, parts: Iterable[bytes] = (b"one", b"two"), *, fails_to_close: bool = False) -> None:
        self.parts = parts
        self.closed = 0
        self.fails_to_close = fails_to_close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)

    def close(self) -> None:
        self.closed += 1
        if self.fails_to_close:
            raise OSError("close failed")


def answering(body: Any) -> WSGIApp:
    """Return an application that answers 200 with `body`."""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    return app


def generating(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"one"
    yield b"two"


@pytest.fixture
def life() -> Lifecycle:
    """A lifecycle that is ready."""
    life = life_of()
    bring_to(Phase.READY, life)
    return life


@pytest.fixture
def response() -> Response:
    return Response()


# Conformance, as `wsgiref.validate` has it, on both sides of the middleware.


def served(app: WSGIApp, **more: Any) -> bytes:
    """Run one request through the handler of the standard library, which closes what it is given."""
    out = BytesIO()
    made = environ(**more)
    handler = SimpleHandler(BytesIO(), out, StringIO(), made, multithread=False, multiprocess=False)
    handler.run(app)  # type: ignore[arg-type]  # the standard library's own notion of an environ
    return out.getvalue()


@pytest.mark.parametrize("body", [[b"onetwo"], [b"one", b"two"], (b"one", b"two")], ids=["one-part", "list", "tuple"])
def test_it_conforms_on_both_sides(life: Lifecycle, body: Any) -> None:
    app = validator(LifecycleMiddleware(validator(answering(list(body))), life))

    assert served(app).endswith(b"onetwo")
    assert len(life.inflight) == 0


def test_it_conforms_on_both_sides_of_a_generator(life: Lifecycle) -> None:
    app = validator(LifecycleMiddleware(validator(generating), life))

    assert served(app).endswith(b"onetwo")
    assert len(life.inflight) == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/version"])
def test_its_own_answers_conform(life: Lifecycle, path: str, method: str) -> None:
    app = validator(LifecycleMiddleware(answering([b"the application's"]), life))

    assert b"the application's" not in served(app, PATH_INFO=path, REQUEST_METHOD=method)


def test_an_error_conforms(life: Lifecycle) -> None:
    def failing(environ: Environ, start_response: StartResponse) -> Any:
        raise ValueError("no answer")

    assert served(validator(LifecycleMiddleware(validator(failing), life))).startswith(b"HTTP/1.0 500")
    assert len(life.inflight) == 0


# In flight from the call to the close, on every path out.


def test_a_request_is_in_flight_until_its_body_is_closed(life: Lifecycle, response: Response) -> None:
    body = LifecycleMiddleware(answering([b"one"]), life)(environ(), response.start)
    assert list(body) == [b"one"]
    assert len(life.inflight) == 1

    body.close()  # type: ignore[attr-defined]  # every body of ours has it

    assert len(life.inflight) == 0


def test_a_body_closed_before_its_end_is_counted_out(life: Lifecycle, response: Response) -> None:
    body: Any = LifecycleMiddleware(generating, life)(environ(), response.start)
    assert next(iter(body)) == b"one"

    body.close()

    assert len(life.inflight) == 0


def test_a_body_closed_twice_is_counted_out_once(life: Lifecycle, response: Response) -> None:
    app = LifecycleMiddleware(answering(Closing()), life)
    first: Any = app(environ(), response.start)
    app(environ(), response.start)

    first.close()
    first.close()

    assert len(life.inflight) == 1


def test_the_applications_body_is_closed(life: Lifecycle, response: Response) -> None:
    inner = Closing()
    body: Any = LifecycleMiddleware(answering(inner), life)(environ(), response.start)

    body.close()

    assert inner.closed == 1


def test_a_generator_is_closed_where_it_stands(life: Lifecycle, response: Response) -> None:
    ended: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"one"
            yield b"two"
        finally:
            ended.append("closed")

    body: Any = LifecycleMiddleware(app, life)(environ(), response.start)
    next(iter(body))
    body.close()

    assert ended == ["closed"]


def test_an_application_that_raises_is_counted_out(life: Lifecycle, response: Response) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        raise SystemExit

    with pytest.raises(SystemExit):
        LifecycleMiddleware(app, life)(environ(), response.start)

    assert len(life.inflight) == 0


def test_a_body_that_raises_is_counted_out_at_its_close(life: Lifecycle, response: Response) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        raise ValueError("in the middle")

    body: Any = LifecycleMiddleware(app, life)(environ(), response.start)
    with pytest.raises(ValueError, match="in the middle"):
        list(body)
    body.close()

    assert len(life.inflight) == 0


def test_a_close_that_raises_is_counted_out_and_heard(life: Lifecycle, response: Response) -> None:
    body: Any = LifecycleMiddleware(answering(Closing(fails_to_close=True)), life)(environ(), response.start)

    with pytest.raises(OSError, match="close failed"):
        body.close()

    assert len(life.inflight) == 0


def test_the_request_is_named_while_it_is_in_flight(life: Lifecycle, response: Response) -> None:
    made = environ("/orders", REQUEST_METHOD="POST", HTTP_X_REQUEST_ID="r-1")
    LifecycleMiddleware(answering([b""]), life)(made, response.start)
    (piece,) = life.inflight.pieces(0.0, stacks=True)

    assert (piece.kind, piece.method, piece.route, piece.id) == ("request", "POST", "/orders", "r-1")
    assert any(frame.endswith("test_the_request_is_named_while_it_is_in_flight") for frame in piece.stack)


# Nothing between the application and the server but the count.


@pytest.mark.parametrize("body", [[b"one"], [b"one", b"two"], []], ids=len)
def test_a_body_with_a_length_keeps_it(life: Lifecycle, response: Response, body: list[bytes]) -> None:
    passed = LifecycleMiddleware(answering(body), life)(environ(), response.start)

    assert len(passed) == len(body)  # type: ignore[arg-type]


@pytest.mark.parametrize("app", [generating, answering(Closing())], ids=["generator", "iterable"])
def test_a_body_without_a_length_gets_none(life: Lifecycle, response: Response, app: WSGIApp) -> None:
    passed = LifecycleMiddleware(app, life)(environ(), response.start)

    assert not hasattr(passed, "__len__")
    assert bool(passed)


def test_start_response_is_the_servers_own(life: Lifecycle, response: Response) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        write = start_response("200 OK", [("X-One", "1")])
        write(b"written")
        try:
            _ = 1 / 0
        except ZeroDivisionError as error:
            start_response("500 Sorry", [], (type(error), error, error.__traceback__))
        return [b"one"]

    LifecycleMiddleware(app, life)(environ(), response.start)

    assert (response.status, response.written) == ("500 Sorry", [b"written"])
    assert response.exc_info[0] is ZeroDivisionError


def test_a_file_goes_to_the_server_in_its_own_wrapper(life: Lifecycle, response: Response) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](BytesIO(b"content"))

    body: Any = LifecycleMiddleware(app, life)(environ(**{"wsgi.file_wrapper": FileWrapper}), response.start)

    assert type(body) is FileWrapper
    assert len(life.inflight) == 1


def test_a_file_is_closed_and_counted_out_at_its_close(life: Lifecycle, response: Response) -> None:
    file = BytesIO(b"content")

    def app(environ: Environ, start_response: StartResponse) -> Any:
        return environ["wsgi.file_wrapper"](file)

    body: Any = LifecycleMiddleware(app, life)(environ(**{"wsgi.file_wrapper": FileWrapper}), response.start)
    body.close()

    assert (len(life.inflight), file.closed) == (0, True)


def test_a_file_that_fails_to_close_is_counted_out(life: Lifecycle, response: Response) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        return environ["wsgi.file_wrapper"](Closing(fails_to_close=True))

    body: Any = LifecycleMiddleware(app, life)(environ(**{"wsgi.file_wrapper": FileWrapper}), response.start)
    with pytest.raises(OSError, match="close failed"):
        body.close()

    assert len(life.inflight) == 0


class Fixed:
    """A server's file wrapper that lets nobody change it, as one written in C would."""

    __slots__ = ("file",)

    def __init__(self, file: Any) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.file)

    def close(self) -> None:
        self.file.close()


def test_a_file_in_a_wrapper_that_cannot_be_changed_is_served_and_counted_out(
    life: Lifecycle, response: Response
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        return environ["wsgi.file_wrapper"](BytesIO(b"content"))

    body: Any = LifecycleMiddleware(app, life)(environ(**{"wsgi.file_wrapper": Fixed}), response.start)
    assert b"".join(body) == b"content"
    body.close()

    assert len(life.inflight) == 0


def test_a_wrapper_that_is_a_function_is_no_hindrance(life: Lifecycle, response: Response) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        return environ["wsgi.file_wrapper"](BytesIO(b"content"))

    body: Any = LifecycleMiddleware(app, life)(environ(**{"wsgi.file_wrapper": lambda file: file}), response.start)
    body.close()

    assert len(life.inflight) == 0


# Probes, and what leaving changes.


def test_a_probe_does_not_reach_the_application(life: Lifecycle, response: Response) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        raise AssertionError

    body = LifecycleMiddleware(app, life)(environ("/readyz"), response.start)

    assert response.status == "200 OK"
    assert json.loads(b"".join(body))["phase"] == "ready"


def test_a_probe_is_no_request(life: Lifecycle, response: Response) -> None:
    LifecycleMiddleware(generating, life)(environ("/livez"), response.start)

    assert (life.inflight.begun, life.inflight.last_arrival) == (0, None)


def test_a_probe_is_answered_below_a_script_name(life: Lifecycle, response: Response) -> None:
    LifecycleMiddleware(generating, life)(environ("/livez", SCRIPT_NAME="/shop"), response.start)

    assert response.status == "200 OK"


def test_other_paths_are_the_applications(life: Lifecycle, response: Response) -> None:
    body = LifecycleMiddleware(answering([b"mine"]), life)(environ("/healthz"), response.start)

    assert list(body) == [b"mine"]


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.SETTLING, Phase.DRAINING])
def test_requests_are_served_in_every_phase(phase: Phase, response: Response) -> None:
    life = life_of()
    bring_to(phase, life)
    body = LifecycleMiddleware(answering([b"served"]), life)(environ(), response.start)

    assert list(body) == [b"served"]


def test_a_request_that_comes_after_the_settle_is_late(response: Response) -> None:
    life = life_of()
    bring_to(Phase.DRAINING, life)
    LifecycleMiddleware(answering([b""]), life)(environ("/late", REQUEST_METHOD="PUT"), response.start)
    found = life.late.as_dict()

    assert found["count"] == 1
    assert {**found["arrivals"][0], "delay": 0} == {
        "delay": 0,
        "peer": "192.0.2.1",
        "method": "PUT",
        "route": "/late",
    }


@pytest.mark.parametrize("phase", [Phase.READY, Phase.SETTLING])
def test_a_request_that_comes_before_the_settle_has_ended_is_not_late(phase: Phase, response: Response) -> None:
    life = life_of()
    bring_to(phase, life)
    LifecycleMiddleware(answering([b""]), life)(environ(), response.start)

    assert life.late.count == 0


def test_the_drain_waits_for_a_body_that_is_not_closed(response: Response) -> None:
    life, server = life_of(settle=0, settle_max=0), FakeServer()
    bring_to(Phase.READY, life, server)
    body: Any = LifecycleMiddleware(generating, life)(environ(), response.start)
    server.signal(signal.SIGTERM)
    reach(Phase.DRAINING, life)
    assert not life.finish(within=0.2)

    body.close()

    assert life.finish(within=5)


def test_the_kill_switch_leaves_nothing_but_the_application(response: Response) -> None:
    life = life_of(enabled=False)
    inner = Closing()
    app = LifecycleMiddleware(answering(inner), life)

    assert app(environ("/readyz"), response.start) is inner
    assert (life.begun, len(life.inflight)) == (False, 0)


def test_the_first_request_begins_a_life_that_no_server_has_begun(response: Response) -> None:
    life = life_of()
    LifecycleMiddleware(answering([b""]), life)(environ(), response.start)

    assert life.begun
    assert life.ready
