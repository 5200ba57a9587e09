"""The page that the processes of one instance share, seen through several mappings of it in one process."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from zdlife.errors import BoardError
from zdlife.machine.phases import Phase
from zdlife.process.board import Board, process_lives
from zdlife.process.layout import MAGIC, NOTE_BYTES, ROWS, SEATS, SIZE_BYTES
from zdlife.process.seat import Seat

ENVIRON = {"wsgi.version": (1, 0), "REQUEST_METHOD": "GET", "PATH_INFO": "/cart", "HTTP_X_REQUEST_ID": "r-1"}
SCOPE = {"type": "http", "method": "PUT", "path": "/cart", "headers": [(b"host", b"a"), (b"x-request-id", b"r-2")]}


@pytest.fixture
def board() -> Board:
    return Board.anonymous()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "instance.board"


def claimed(board: Board, pid: int = 101) -> Seat:
    seat = board.claim(pid)
    assert seat is not None
    return seat


def begin(seat: Seat, token: int, *, at: float = 1.0, subject: Any = ENVIRON, kind: str = "request") -> None:
    """Begin the piece `token`, as the first of its worker that has not ended."""
    seat.begin(token, at, begun=token, in_flight=1, subject=subject, kind=kind)


# The instance.


def test_a_new_page_says_nothing(board: Board) -> None:
    assert (board.phase, board.asked_at, board.leaving, board.settle_ended_at) == (Phase.STARTING, None, False, None)
    assert (board.begun, board.in_flight, board.last_arrival, board.lost_workers) == (0, 0, None, 0)
    assert list(board.seats()) == []


@pytest.mark.parametrize("make", [Board.anonymous, Board.inherited])
def test_the_page_may_be_locked_while_it_is_locked(make: Callable[[], Board]) -> None:
    """gunicorn 22 and 23 reap a worker in a signal handler, which may come while a seat is being claimed."""
    board = make()
    seat = board.claim(1)
    assert seat is not None
    with board.locked():
        assert board.fold(seat, pid=1, lost=False) is not None
    assert board.claim(2) is not None


def test_a_page_that_was_only_looked_at_is_let_go_of(path: Path) -> None:
    Board.at(path).close()

    assert not any(link.resolve() == path for link in Path("/proc/self/fd").iterdir())


def test_a_page_says_which_layout_it_has(board: Board) -> None:
    assert board.words[0] == MAGIC


@pytest.mark.parametrize("size", [532_608, SIZE_BYTES])
def test_a_page_of_another_layout_is_refused_and_left_as_it_is(tmp_path: Path, size: int) -> None:
    path = tmp_path / "other.board"
    written = (MAGIC - 1).to_bytes(8, sys.byteorder) + bytes(size - 8)
    path.write_bytes(written)

    with pytest.raises(BoardError, match="not a page of this version"):
        Board.at(path)
    assert path.read_bytes() == written


@pytest.mark.parametrize("phase", Phase)
def test_the_phase_that_was_published_is_read(board: Board, phase: Phase) -> None:
    board.publish(phase, 1.0)

    assert board.phase is phase


def test_the_first_stop_signal_stands(board: Board) -> None:
    board.ask(12.5)
    board.ask(13.5)

    assert (board.leaving, board.asked_at) == (True, 12.5)


def test_the_first_end_of_the_settle_stands(board: Board) -> None:
    board.end_settle(17.5)
    board.end_settle(18.5)

    assert board.settle_ended_at == 17.5


# Seats.


def test_each_process_gets_a_seat_of_its_own(board: Board) -> None:
    seats = [claimed(board, pid) for pid in (101, 102, 103)]

    assert len({seat.index for seat in seats}) == 3
    assert [seat.pid for seat in board.seats()] == [101, 102, 103]


def test_there_is_no_seat_beyond_the_last(board: Board) -> None:
    for pid in range(1, SEATS + 1):
        claimed(board, pid)

    assert board.claim(SEATS + 1) is None


def test_a_seat_is_found_by_its_pid(board: Board) -> None:
    seat = claimed(board, 101)
    found = board.seat_of(101)

    assert found is not None
    assert found.index == seat.index
    assert board.seat_of(102) is None


def test_a_seat_claimed_again_remembers_nothing(board: Board) -> None:
    seat = claimed(board)
    begin(seat, 1)
    seat.ask()
    seat.release()
    seat.leave_note(b"note")
    board.fold(seat, pid=101, lost=False)

    again = claimed(board, 102)

    assert again.index == seat.index
    assert (again.begun, again.in_flight, again.last_arrival, again.note) == (0, 0, None, b"")
    assert (again.asked, again.released, list(again.rows())) == (False, False, [])


def test_a_worker_that_is_let_go_or_asked_knows_it(board: Board) -> None:
    seat = claimed(board)
    assert (seat.released, seat.asked) == (False, False)

    seat.release()
    seat.ask()

    assert (seat.released, seat.asked) == (True, True)


@pytest.mark.parametrize("phase", Phase)
def test_a_worker_says_where_it_stands(board: Board, phase: Phase) -> None:
    seat = claimed(board)
    seat.publish(phase)

    assert seat.phase is phase


# What is in flight.


def test_the_instance_counts_what_its_workers_count(board: Board) -> None:
    first, second = claimed(board, 101), claimed(board, 102)
    first.begin(1, 5.0, begun=1, in_flight=1, subject=ENVIRON, kind="request")
    first.begin(2, 6.0, begun=2, in_flight=2, subject=ENVIRON, kind="request")
    second.begin(1, 7.0, begun=1, in_flight=1, subject=ENVIRON, kind="request")
    first.end(1, in_flight=1)

    assert (board.begun, board.in_flight, board.last_arrival) == (3, 2, 7.0)


def test_background_work_is_in_flight_and_is_no_request(board: Board) -> None:
    seat = claimed(board)
    seat.begin(1, 5.0, begun=0, in_flight=1, subject="nightly", kind="work")

    assert (board.begun, board.in_flight, board.last_arrival) == (0, 1, None)


@pytest.mark.parametrize(
    ("subject", "kind", "row"),
    [
        pytest.param(ENVIRON, "request", ("request", "GET", "/cart", "r-1"), id="wsgi"),
        pytest.param(SCOPE, "request", ("request", "PUT", "/cart", "r-2"), id="asgi"),
        pytest.param({**SCOPE, "headers": []}, "request", ("request", "PUT", "/cart", None), id="asgi-without-an-id"),
        pytest.param(
            {"type": "websocket", "path": "/feed", "headers": []},
            "websocket",
            ("websocket", None, "/feed", None),
            id="websocket",
        ),
        pytest.param("nightly", "work", ("work", None, "nightly", None), id="work"),
        pytest.param({**ENVIRON, "PATH_INFO": "/a\tb"}, "request", ("request", "GET", "/a\tb", "r-1"), id="tab"),
        pytest.param({**ENVIRON, "PATH_INFO": "/café"}, "request", ("request", "GET", "/café", "r-1"), id="accent"),
    ],
)
def test_a_row_names_what_has_begun(board: Board, subject: Any, kind: str, row: tuple[Any, ...]) -> None:
    seat = claimed(board)
    begin(seat, 1, at=9.5, subject=subject, kind=kind)

    (found,) = seat.rows()

    assert (found["kind"], found["method"], found["route"], found["id"]) == row
    assert found["began"] == 9.5


def test_a_name_that_no_encoding_knows_is_still_a_row(board: Board) -> None:
    seat = claimed(board)
    begin(seat, 1, subject="\udcff", kind="work")

    assert [row["kind"] for row in seat.rows()] == ["work"]


def test_a_long_path_leaves_room_for_the_id(board: Board) -> None:
    seat = claimed(board)
    begin(seat, 1, subject={**ENVIRON, "PATH_INFO": "/" + "é" * 500, "HTTP_X_REQUEST_ID": "0123456789abcdef"})

    (row,) = seat.rows()

    assert row["id"] == "0123456789abcdef"
    assert row["route"].startswith("/éé")


def test_the_id_is_taken_from_the_header_that_was_chosen(board: Board) -> None:
    seat = claimed(board)
    seat.name_requests_by("X-Correlation-ID")
    begin(seat, 1, subject={**ENVIRON, "HTTP_X_CORRELATION_ID": "c-1"})
    begin(seat, 2, subject={**SCOPE, "headers": [(b"x-correlation-id", b"c-2")]})

    assert [row["id"] for row in seat.rows()] == ["c-1", "c-2"]


def test_a_row_goes_when_its_piece_ends(board: Board) -> None:
    seat = claimed(board)
    begin(seat, 1)
    begin(seat, 2, subject="nightly", kind="work")
    seat.end(1, in_flight=1)

    assert [row["kind"] for row in seat.rows()] == ["work"]


def test_what_finds_no_row_is_counted_all_the_same(board: Board) -> None:
    seat = claimed(board)
    for token in range(1, ROWS + 2):
        seat.begin(token, 1.0, begun=token, in_flight=token, subject=ENVIRON, kind="request")
    assert len(list(seat.rows())) == ROWS

    seat.end(ROWS + 1, in_flight=ROWS)

    assert (len(list(seat.rows())), seat.begun, seat.in_flight) == (ROWS, ROWS + 1, ROWS)


def test_rows_are_used_again(board: Board) -> None:
    seat = claimed(board)
    for token in range(1, 10 * ROWS):
        begin(seat, token)
        assert len(list(seat.rows())) == 1
        seat.end(token, in_flight=0)


# Notes.


def test_a_note_is_read_as_it_was_left(board: Board) -> None:
    seat = claimed(board)

    assert seat.leave_note(b"x" * NOTE_BYTES)
    assert seat.note == b"x" * NOTE_BYTES


def test_a_note_that_is_too_long_is_not_left(board: Board) -> None:
    seat = claimed(board)
    seat.leave_note(b"short")

    assert not seat.leave_note(b"x" * (NOTE_BYTES + 1))
    assert seat.note == b"short"


def test_a_full_seat_does_not_touch_its_neighbour(board: Board) -> None:
    seat, neighbour = claimed(board, 101), claimed(board, 102)
    for token in range(1, ROWS + 1):
        seat.begin(token, 1.0, begun=token, in_flight=token, subject="w" * 300, kind="work")
    seat.leave_note(b"\xff" * NOTE_BYTES)

    assert (neighbour.pid, neighbour.begun, neighbour.in_flight, neighbour.note) == (102, 0, 0, b"")
    assert list(neighbour.rows()) == []


# Folding.


def test_a_folded_seat_is_free_and_its_counts_stay(board: Board) -> None:
    seat = claimed(board)
    begin(seat, 1, at=5.0)
    seat.end(1, in_flight=0)
    board.fold(seat, pid=101, lost=False)

    assert list(board.seats()) == []
    assert (board.begun, board.last_arrival, board.in_flight, board.lost_workers) == (1, 5.0, 0, 0)


def test_what_a_dead_worker_held_is_returned(board: Board) -> None:
    seat = claimed(board)
    begin(seat, 1, at=5.0)
    seat.leave_note(b"last words")

    remains = board.fold(seat, pid=101, lost=True)

    assert remains is not None
    assert (remains.pid, remains.begun, remains.note) == (101, 1, b"last words")
    assert [row["id"] for row in remains.in_flight] == ["r-1"]
    assert (board.lost_workers, board.in_flight) == (1, 0)


def test_a_seat_is_folded_once(board: Board) -> None:
    seat = claimed(board)
    begin(seat, 1)
    board.fold(seat, pid=101, lost=True)

    assert board.fold(seat, pid=101, lost=True) is None
    assert (board.lost_workers, board.begun) == (1, 1)


def test_a_seat_that_somebody_else_folded_and_took_is_left_alone(board: Board) -> None:
    claimed(board, 101)
    (as_one_sees_it,) = board.seats()
    (as_another_sees_it,) = board.seats()
    board.fold(as_one_sees_it, pid=101, lost=True)
    successor = claimed(board, 102)
    begin(successor, 1)

    board.fold(as_another_sees_it, pid=101, lost=True)

    assert (successor.pid, successor.begun, board.lost_workers) == (102, 1, 1)


def test_the_last_arrival_is_the_latest_of_the_living_and_the_dead(board: Board) -> None:
    dead, living = claimed(board, 101), claimed(board, 102)
    begin(dead, 1, at=9.0)
    begin(living, 1, at=5.0)
    board.fold(dead, pid=101, lost=True)

    assert board.last_arrival == 9.0


# The page in a file.


def test_two_mappings_of_one_file_are_one_page(path: Path) -> None:
    one, other = Board.at(path), Board.at(path)
    begin(claimed(one, 101), 1)
    claimed(other, 102)
    other.ask(3.0)

    assert [seat.pid for seat in one.seats()] == [101, 102]
    assert (one.asked_at, other.begun) == (3.0, 1)


def test_the_file_is_private_and_filled(path: Path) -> None:
    Board.at(path)

    found = path.stat()

    assert found.st_mode & 0o777 == 0o600
    assert found.st_size == SIZE_BYTES
    assert found.st_blocks * 512 >= SIZE_BYTES


def test_a_file_that_was_cut_short_is_filled_again(path: Path) -> None:
    path.write_bytes(bytes(100))

    assert list(Board.at(path).seats()) == []
    assert path.stat().st_size == SIZE_BYTES


def test_the_page_outlives_its_file(path: Path) -> None:
    board = Board.at(path)
    board.remove()
    board.remove()
    board.publish(Phase.READY, 1.0)

    assert not path.exists()
    assert board.phase is Phase.READY


def test_removing_an_anonymous_page_does_nothing(board: Board) -> None:
    board.remove()

    assert board.phase is Phase.STARTING


def not_ours(path: Path) -> None:
    path.write_bytes(b"anything else".ljust(SIZE_BYTES, b"."))


def a_link(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(bytes(SIZE_BYTES))
    path.symlink_to(path.parent / "elsewhere")


def a_folder(path: Path) -> None:
    path.mkdir()


def in_no_folder(path: Path) -> None:
    path.parent.rmdir()


@pytest.mark.parametrize("spoil", [not_ours, a_link, a_folder, in_no_folder])
def test_a_path_that_cannot_be_a_page_is_refused_with_a_remedy(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)

    with pytest.raises(BoardError, match="ZDLIFE_BOARD_DIR") as caught:
        Board.at(path)

    assert str(path) in str(caught.value)


@contextmanager
def no_file_longer_than(size_bytes: int) -> Iterator[None]:
    """Have the system refuse longer files to this process, as a full disk would; SIGXFSZ is ignored by Python."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_is_an_error_and_no_crash(path: Path) -> None:
    with no_file_longer_than(4096), pytest.raises(BoardError, match="KiB free") as caught:
        Board.at(path)

    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)


def test_a_refused_page_leaves_no_descriptor_open(path: Path) -> None:
    not_ours(path)
    for _ in range(10):
        with pytest.raises(BoardError):
            Board.at(path)

    assert not any(link.resolve() == path for link in Path("/proc/self/fd").iterdir())


# Processes.


def test_this_process_lives() -> None:
    assert process_lives(os.getpid())


def test_a_process_of_somebody_elses_lives() -> None:
    assert process_lives(1)


def test_a_process_that_was_reaped_does_not_live() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)

    assert not process_lives(pid)
