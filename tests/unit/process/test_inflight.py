"""What is being served, since when, and what it is called when it blocks the drain."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from zdlife.process.board import Board
from zdlife.process.inflight import InFlight, Piece, describe
from zdlife.process.seat import Seat

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/orders/7", "headers": [(b"X-Request-ID", b"r-1")]}
ENVIRON: dict[str, Any] = {"wsgi.version": (1, 0), "REQUEST_METHOD": "POST", "PATH_INFO": "/buy"}


@pytest.fixture
def inflight() -> InFlight:
    return InFlight()


@pytest.fixture
def seat() -> Seat:
    seat = Board.anonymous().claim(101)
    assert seat is not None
    return seat


def test_a_piece_is_in_flight_from_its_beginning_to_its_end(inflight: InFlight) -> None:
    token = inflight.begin("request", SCOPE)
    assert len(inflight) == 1

    inflight.end(token)

    assert len(inflight) == 0


def test_a_piece_ends_once(inflight: InFlight) -> None:
    first = inflight.begin("request", SCOPE)
    inflight.begin("request", SCOPE)
    inflight.end(first)
    inflight.end(first)

    assert len(inflight) == 1


def test_no_token_is_given_twice(inflight: InFlight) -> None:
    tokens = set()
    for _ in range(100):
        token = inflight.begin("request", SCOPE)
        inflight.end(token)
        tokens.add(token)

    assert len(tokens) == 100


def test_requests_are_counted_when_they_begin(inflight: InFlight) -> None:
    for _ in range(3):
        inflight.end(inflight.begin("request", SCOPE))
    inflight.begin("websocket", SCOPE)

    assert inflight.begun == 4
    assert inflight.last_arrival is not None


def test_background_work_is_no_request_and_no_arrival(inflight: InFlight) -> None:
    with inflight.working("nightly"):
        assert len(inflight) == 1

    assert (inflight.begun, inflight.last_arrival) == (0, None)


def test_background_work_that_raises_has_ended(inflight: InFlight) -> None:
    with pytest.raises(ZeroDivisionError), inflight.working("nightly"):
        _ = 1 / 0

    assert len(inflight) == 0


def test_a_seat_counts_along(inflight: InFlight, seat: Seat) -> None:
    inflight.sit(seat)
    token = inflight.begin("request", SCOPE)
    with inflight.working("nightly"):
        assert (seat.begun, seat.in_flight, len(list(seat.rows()))) == (1, 2, 2)
    inflight.end(token)

    assert (seat.begun, seat.in_flight, list(seat.rows())) == (1, 0, [])


def test_a_seat_that_was_left_is_not_written_any_more(inflight: InFlight, seat: Seat) -> None:
    inflight.sit(seat)
    token = inflight.begin("request", SCOPE)
    inflight.sit(None)
    inflight.end(token)
    inflight.begin("request", SCOPE)

    assert (seat.begun, seat.in_flight) == (1, 1)


def test_a_name_that_no_encoding_knows_leaves_nothing_in_flight(inflight: InFlight, seat: Seat) -> None:
    inflight.sit(seat)
    with inflight.working("\udcff"):
        pass

    assert (len(inflight), seat.in_flight) == (0, 0)


# Naming.


def test_the_pieces_come_oldest_first_with_their_ages(inflight: InFlight) -> None:
    inflight.begin("work", "older")
    inflight.begin("work", "newer")
    (older, newer) = inflight.pieces(1e9)

    assert (older.route, newer.route) == ("older", "newer")
    assert older.age >= newer.age > 0


def test_a_piece_is_told_as_the_report_has_it() -> None:
    piece = Piece("request", "r-1", "GET", "/x", 1.23456, ("a.py:1 f",))

    assert piece.as_dict() == {
        "kind": "request",
        "id": "r-1",
        "method": "GET",
        "route": "/x",
        "age": 1.235,
        "stack": ["a.py:1 f"],
    }


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        pytest.param("nightly", (None, "nightly", None), id="work"),
        pytest.param(SCOPE, ("GET", "/orders/7", "r-1"), id="asgi"),
        pytest.param(
            {**SCOPE, "route": SimpleNamespace(path="/orders/{id}")}, ("GET", "/orders/{id}", "r-1"), id="asgi-template"
        ),
        pytest.param(
            {**SCOPE, "route": SimpleNamespace(path=None)}, ("GET", "/orders/7", "r-1"), id="asgi-no-template"
        ),
        pytest.param({"type": "websocket", "path": "/feed"}, (None, "/feed", None), id="websocket"),
        pytest.param(ENVIRON, ("POST", "/buy", None), id="wsgi"),
        pytest.param({**ENVIRON, "HTTP_X_REQUEST_ID": "r-2"}, ("POST", "/buy", "r-2"), id="wsgi-with-an-id"),
        pytest.param({"wsgi.version": (1, 0)}, (None, "", None), id="wsgi-bare"),
    ],
)
def test_a_subject_tells_its_method_its_route_and_its_id(subject: Any, told: tuple[Any, ...]) -> None:
    assert describe(subject, "x-request-id") == told


def test_the_id_is_taken_from_the_header_that_was_chosen() -> None:
    inflight = InFlight(request_id_header="X-Correlation-ID")
    inflight.begin("request", {**SCOPE, "headers": [(b"x-correlation-id", b"c-1")]})
    inflight.begin("request", {**ENVIRON, "HTTP_X_CORRELATION_ID": "c-2"})

    assert [piece.id for piece in inflight.pieces(0.0)] == ["c-1", "c-2"]


# Stacks.


def test_without_being_asked_nobody_looks_at_stacks(inflight: InFlight) -> None:
    inflight.begin("work", "nightly", threading.get_ident())

    assert inflight.pieces(0.0)[0].stack == ()


def test_the_stack_of_a_thread_ends_where_it_stands(inflight: InFlight) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def stuck_in_here() -> None:
        with inflight.working("stuck"):
            begun.set()
            go_on.wait()

    thread = threading.Thread(target=stuck_in_here)
    thread.start()
    begun.wait()
    (piece,) = inflight.pieces(0.0, stacks=True)
    go_on.set()
    thread.join()

    assert any(frame.endswith(" stuck_in_here") for frame in piece.stack)
    assert piece.stack[-1].endswith((" wait", " stuck_in_here"))


def test_a_thread_that_is_gone_has_no_stack(inflight: InFlight) -> None:
    inflight.begin("work", "orphan", -1)

    assert inflight.pieces(0.0, stacks=True)[0].stack == ()


def test_the_stack_of_a_task_follows_its_awaits(inflight: InFlight) -> None:
    async def innermost() -> None:
        await asyncio.get_running_loop().create_future()

    async def outermost() -> None:
        with inflight.working("stuck"):
            await innermost()

    async def main() -> tuple[str, ...]:
        task = asyncio.create_task(outermost())
        await asyncio.sleep(0)
        stack = inflight.pieces(0.0, stacks=True)[0].stack
        task.cancel()
        await asyncio.wait([task])
        return stack

    assert [frame.split()[-1] for frame in asyncio.run(main())[:2]] == ["outermost", "innermost"]


def test_the_stack_of_a_task_that_blocks_its_loop_shows_where(inflight: InFlight) -> None:
    blocked, go_on = threading.Event(), threading.Event()

    def not_awaited() -> None:
        blocked.set()
        go_on.wait()

    async def handler() -> None:
        with inflight.working("blocking"):
            not_awaited()

    async def main() -> None:
        await asyncio.create_task(handler())

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    blocked.wait()
    (piece,) = inflight.pieces(0.0, stacks=True)
    go_on.set()
    thread.join()

    assert any(frame.endswith(" not_awaited") for frame in piece.stack)


def test_the_stack_of_a_task_that_has_ended_is_empty(inflight: InFlight) -> None:
    async def nothing() -> None:
        pass

    async def main() -> None:
        task = asyncio.create_task(nothing())
        await task
        inflight.begin("request", SCOPE, task)

    asyncio.run(main())

    assert inflight.pieces(0.0, stacks=True)[0].stack == ()
