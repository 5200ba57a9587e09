"""The shared page against a model of it, and under many processes at once, with counted invariants."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from zdlife.machine.phases import Phase
from zdlife.process.board import Board
from zdlife.process.layout import ROWS, SEATS
from zdlife.process.seat import Seat

ENVIRON = {"wsgi.version": (1, 0), "REQUEST_METHOD": "GET", "PATH_INFO": "/"}

# The child does nothing but write to the page, and ends without the interpreter's own end.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def claimed(board: Board, pid: int) -> Seat:
    seat = board.claim(pid)
    assert seat is not None
    return seat


class Worker:
    """What a worker with a seat counts for itself."""

    def __init__(self, seat: Seat, pid: int) -> None:
        self.seat = seat
        self.pid = pid
        self.begun = 0
        self.arrived = 0.0
        self.held: dict[int, str] = {}
        self.named: set[int] = set()


class Page(RuleBasedStateMachine):
    """A page and a model of what must be on it; the pids are made up, and no process is behind them."""

    workers = Bundle("workers")

    def __init__(self) -> None:
        super().__init__()
        self.board = Board.anonymous()
        self.sitting: dict[int, Worker] = {}
        self.pids = iter(range(101, 10_000))
        self.tokens = iter(range(1, 100_000))
        self.now = 0.0
        self.folded = 0
        self.folded_arrival = 0.0
        self.lost = 0
        self.asked_at: float | None = None
        self.phase = Phase.STARTING

    @rule(target=workers)
    def a_worker_sits_down(self) -> Worker | None:
        pid = next(self.pids)
        seat = self.board.claim(pid)
        assert (seat is None) == (len(self.sitting) == SEATS)
        if seat is None:
            return None
        self.sitting[pid] = Worker(seat, pid)
        return self.sitting[pid]

    @rule(worker=workers, kind=st.sampled_from(["request", "websocket", "work"]))
    def something_begins(self, worker: Worker, kind: str) -> None:
        self.now += 1
        token = next(self.tokens)
        worker.held[token] = kind
        if len(worker.named) < ROWS:
            worker.named.add(token)
        if kind != "work":
            worker.begun += 1
            worker.arrived = self.now
        subject: Any = "work" if kind == "work" else ENVIRON
        worker.seat.begin(token, self.now, worker.begun, len(worker.held), subject, kind)

    @rule(worker=workers, data=st.data())
    def something_ends(self, worker: Worker, data: st.DataObject) -> None:
        if worker.held:
            token = data.draw(st.sampled_from(sorted(worker.held)))
            del worker.held[token]
            worker.named.discard(token)
            worker.seat.end(token, len(worker.held))

    @rule(worker=consumes(workers), lost=st.booleans(), times=st.integers(1, 3))
    def a_worker_is_folded_by_everybody_who_notices(self, worker: Worker, lost: bool, times: int) -> None:
        found = [self.board.fold(worker.seat, pid=worker.pid, lost=lost) for _ in range(times)]
        remains = [each for each in found if each is not None]
        assert [(each.pid, each.begun) for each in remains] == [(worker.pid, worker.begun)]
        assert len(remains[0].in_flight) == len(worker.named)
        self.folded += worker.begun
        self.folded_arrival = max(self.folded_arrival, worker.arrived)
        self.lost += lost
        del self.sitting[worker.pid]

    @rule()
    def the_instance_is_asked(self) -> None:
        self.now += 1
        self.board.ask(self.now)
        self.asked_at = self.asked_at or self.now

    @rule(phase=st.sampled_from(Phase))
    def a_phase_is_published(self, phase: Phase) -> None:
        self.board.publish(phase, 1.0)
        self.phase = phase

    @invariant()
    def what_is_counted_adds_up(self) -> None:
        sitting = self.sitting.values()
        assert self.board.begun == self.folded + sum(worker.begun for worker in sitting)
        assert self.board.in_flight == sum(len(worker.held) for worker in sitting)
        assert self.board.lost_workers == self.lost
        assert (self.board.last_arrival or 0.0) == max([self.folded_arrival, *(worker.arrived for worker in sitting)])

    @invariant()
    def who_sits_is_known(self) -> None:
        assert sorted(seat.pid for seat in self.board.seats()) == sorted(self.sitting)

    @invariant()
    def what_began_and_has_not_ended_is_named_if_there_was_a_row_for_it(self) -> None:
        for worker in self.sitting.values():
            kinds = sorted(row["kind"] for row in worker.seat.rows())
            assert kinds == sorted(worker.held[token] for token in worker.named)

    @invariant()
    def what_is_said_of_the_instance_stands(self) -> None:
        assert (self.board.asked_at, self.board.phase) == (self.asked_at, self.phase)


TestPage = Page.TestCase
TestPage.settings = settings(stateful_step_count=40, deadline=None)


# Many processes.


@contextmanager
def children(number: int, do: Callable[[int], None]) -> Iterator[list[int]]:
    """Fork `number` children that each do `do(its number)` and exit, wait for all, and yield their pids."""
    pids = []
    for each in range(number):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                do(each)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert set(statuses) <= {0, -signal.SIGKILL}, statuses
    yield pids


few = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(number=st.integers(2, 8))
def test_processes_that_sit_down_at_once_get_different_seats(number: int, tmp_path: Path) -> None:
    path = tmp_path / f"{os.urandom(8).hex()}.board"

    def sit(_: int) -> None:
        board = Board.at(path)
        for _ in range(3):
            claimed(board, os.getpid())

    with children(number, sit) as pids:
        seats = list(Board.at(path).seats())

        assert sorted(seat.pid for seat in seats) == sorted(pid for pid in pids for _ in range(3))
        assert len({seat.index for seat in seats}) == 3 * number


@few
@given(counts=st.lists(st.integers(0, 200), min_size=1, max_size=6), left_open=st.integers(0, 5))
def test_what_every_process_counted_is_the_instances_count(counts: list[int], left_open: int) -> None:
    board = Board.anonymous()
    seats = [claimed(board, number + 1) for number in range(len(counts))]

    def serve(number: int) -> None:
        seat = seats[number]
        for token in range(1, counts[number] + 1):
            seat.begin(token, 1.0, token, 1, ENVIRON, "request")
            seat.end(token, 0)
        for token in range(left_open):
            seat.begin(10_000 + token, 1.0, counts[number] + token + 1, token + 1, ENVIRON, "request")

    with children(len(counts), serve):
        assert board.begun == sum(counts) + left_open * len(counts)
        assert board.in_flight == left_open * len(counts)
        assert [len(list(seat.rows())) for seat in board.seats()] == [left_open] * len(counts)


@few
@given(dead=st.integers(1, 4), folders=st.integers(2, 6))
def test_the_dead_are_folded_once_and_their_successors_left_alone(dead: int, folders: int, tmp_path: Path) -> None:
    path = tmp_path / f"{os.urandom(8).hex()}.board"

    def die(_: int) -> None:
        seat = claimed(Board.at(path), os.getpid())
        seat.begin(1, 1.0, 1, 1, ENVIRON, "request")
        os.kill(os.getpid(), signal.SIGKILL)

    def fold_and_sit(_: int) -> None:
        board = Board.at(path)
        for seat in list(board.seats()):
            if seat.pid in the_dead:
                board.fold(seat, pid=seat.pid, lost=True)
        claimed(board, os.getpid()).begin(1, 2.0, 1, 1, ENVIRON, "request")

    with children(dead, die) as the_dead, children(folders, fold_and_sit) as successors:
        board = Board.at(path)

        assert (board.lost_workers, board.begun, board.in_flight) == (dead, dead + folders, folders)
        assert sorted(seat.pid for seat in board.seats()) == sorted(successors)


@few
@given(values=st.lists(st.floats(1, 1e9, allow_nan=False), min_size=2, max_size=4, unique=True))
def test_a_time_that_is_read_was_written_whole(values: list[float]) -> None:
    board = Board.anonymous()
    seat = claimed(board, 1)
    pid = os.fork()
    if pid == 0:
        for _ in range(2000):
            for value in values:
                seat.begin(1, value, 1, 1, ENVIRON, "request")
                seat.end(1, 0)
        os._exit(0)
    strange = set()
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        strange.update({seat.last_arrival for _ in range(200)} - {None, *values})
    assert strange == set()
