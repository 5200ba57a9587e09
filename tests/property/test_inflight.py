"""What is in flight under many threads at once, with counted invariants."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zdlife.process.board import Board
from zdlife.process.inflight import InFlight
from zdlife.process.seat import Seat

ENVIRON = {"wsgi.version": (1, 0), "REQUEST_METHOD": "GET", "PATH_INFO": "/"}
KINDS = st.sampled_from(["request", "websocket", "work"])
few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True, scope="module")
def _threads_take_turns_as_often_as_they_can() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def counted() -> tuple[InFlight, Seat]:
    """Return what counts for one process, and its seat at a board."""
    seat = Board.anonymous().claim(101)
    assert seat is not None
    inflight = InFlight()
    inflight.sit(seat)
    return inflight, seat


@given(plan=st.lists(st.tuples(KINDS, st.booleans()), max_size=100))
def test_what_began_and_has_not_ended_is_in_flight(plan: list[tuple[str, bool]]) -> None:
    inflight, seat = counted()
    held = 0
    for kind, ends in plan:
        token = inflight.begin(kind, "name" if kind == "work" else ENVIRON)  # type: ignore[arg-type]
        if ends:
            inflight.end(token)
        else:
            held += 1

    requests = [kind for kind, _ in plan if kind != "work"]
    assert len(inflight) == len(inflight.pieces(0.0)) == held
    assert (inflight.begun, inflight.last_arrival is None) == (len(requests), not requests)
    assert seat.begun == len(requests)


@few
@given(threads=st.integers(2, 8), each=st.integers(1, 200), left_open=st.integers(0, 3))
def test_no_thread_loses_a_piece_of_anothers(threads: int, each: int, left_open: int) -> None:
    inflight, seat = counted()
    together = threading.Barrier(threads)
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            together.wait()
            for _ in range(each):
                inflight.end(inflight.begin("request", ENVIRON, threading.get_ident()))
            for _ in range(left_open):
                inflight.begin("work", "left open")
        except BaseException as failure:
            failures.append(failure)

    running = [threading.Thread(target=serve) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()

    assert failures == []
    assert len(inflight) == threads * left_open
    assert inflight.begin("request", ENVIRON) == threads * (each + left_open) + 1
    assert len(list(seat.rows())) == threads * left_open + 1
    assert {row["kind"] for row in seat.rows()} <= {"work", "request"}


@few
@given(threads=st.integers(2, 6))
def test_whoever_asks_meanwhile_is_told_nothing_impossible(threads: int) -> None:
    inflight, _ = counted()
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with inflight.working("work"):
                inflight.end(inflight.begin("request", ENVIRON, threading.get_ident()))

    running = [threading.Thread(target=serve) for _ in range(threads)]
    for thread in running:
        thread.start()
    asked = [len(inflight.pieces(1e12, stacks=True)) for _ in range(50)]
    over.set()
    for thread in running:
        thread.join()

    assert max(asked) <= 2 * threads
    assert len(inflight) == 0
