"""One shared page per instance: what the master and the workers tell each other.

The page is memory, not a protocol: a word is eight aligned bytes, which the processors Python runs on store and load
whole, and has one writer at a time, or several that would write the same. Readers may see a value a moment old and
never a torn one. Only who claims, folds or takes an errand waits for the others, on a lock that ends with its process.

Under gunicorn the page is anonymous and made before the fork: it survives a reload that executes the configuration
again, because it lives in an imported module, and it needs no file. Workers that are spawned and not forked find each
other through a file named after their parent.

A worker that dies leaves its seat as it was. Whoever notices folds it: its count is added to the instance's, and what
it had in flight is returned, to be named.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zdlife.errors import BoardError
from zdlife.machine.phases import Phase
from zdlife.process.layout import (
    ASKED_AT,
    ENTERED,
    EXPECTED,
    FOLDED_BEGUN,
    HEADER_WORDS,
    HELD_AT,
    LAST_ARRIVAL,
    LOST_WORKERS,
    MAGIC,
    MANAGED,
    MARK,
    PHASE,
    PHASES,
    PID,
    RANK,
    READY_AT,
    REVIVED_AT,
    SEAT_WORDS,
    SEATS,
    SETTLE_ENDED_AT,
    SHORT_SINCE,
    SIZE_BYTES,
    WORD,
)
from zdlife.process.seat import Seat


@dataclass(frozen=True, slots=True)
class Remains:
    """What a worker left on its seat: who it was, what it had begun, and what it had not ended."""

    pid: int
    begun: int
    in_flight: tuple[dict[str, Any], ...]
    note: bytes


class Board:
    """The page of one instance. Any process that holds it may read all of it and write its own seat."""

    def __init__(
        self,
        page: mmap.mmap,
        *,
        descriptor: int | None = None,
        path: Path | None = None,
        lock: Callable[[int, int], None] = fcntl.flock,
    ) -> None:
        self.page = page
        self.path = path
        self._descriptor = descriptor
        self._lock = lock
        self._mutex = threading.RLock()
        self._depth = 0
        self.words = memoryview(page).cast("B").cast("Q")
        self.times = memoryview(page).cast("B").cast("d")
        if self.words[MARK] not in (0, MAGIC):
            raise _foreign(path)
        self.words[MARK] = MAGIC

    @classmethod
    def anonymous(cls) -> Board:
        """Return a page of this process's own."""
        return cls(mmap.mmap(-1, SIZE_BYTES))

    @classmethod
    def inherited(cls) -> Board:
        """Return a page that this process and its future children share, and lock against each other.

        The lock is one of a nameless file that the children inherit (fcntl, which counts by process). Without room for
        the file it is the page all the same, and two workers may then do one errand at once.
        """
        try:
            descriptor, name = tempfile.mkstemp(prefix="zdlife-")
            Path(name).unlink()
        except OSError:
            return cls.anonymous()
        return cls(mmap.mmap(-1, SIZE_BYTES), descriptor=descriptor, lock=fcntl.lockf)

    @classmethod
    def at(cls, path: Path) -> Board:
        """Return the page in the file at `path`, private to this user, made if it is not there.

        The file is filled before it is mapped, since a write to a mapped hole on a full disk kills the process with
        SIGBUS.

        Raises:
            BoardError: the file cannot be made; the message says why and what to set.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                if os.fstat(descriptor).st_uid != os.geteuid():
                    raise OSError(errno.EPERM, "it belongs to another user")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.fstat(descriptor).st_size < SIZE_BYTES:
                    if any(os.pread(descriptor, WORD, 0)):
                        raise _foreign(path)
                    _fill(descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                return cls(mmap.mmap(descriptor, SIZE_BYTES), descriptor=descriptor, path=path)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            if isinstance(error, BoardError):
                raise
            raise BoardError(
                error.errno,
                f"the page shared by the workers cannot be kept at {path}: {error.strerror}. "
                f"Make room there, or set ZDLIFE_BOARD_DIR to a folder with {SIZE_BYTES // 1024} KiB free.",
            ) from error

    @property
    def phase(self) -> Phase:
        """Return the phase of the whole instance."""
        return PHASES[self.words[PHASE]]

    def publish(self, phase: Phase, now: float) -> None:
        """Set the phase of the whole instance; for the one process that conducts it."""
        self.words[PHASE] = RANK[phase]
        entered = ENTERED + RANK[phase]
        if not self.times[entered]:
            self.times[entered] = now

    def entered(self) -> Iterator[tuple[Phase, float]]:
        """Yield the phases that the instance has come to, with when, in the order of a life."""
        for phase, rank in RANK.items():
            if self.times[ENTERED + rank]:
                yield phase, self.times[ENTERED + rank]

    @property
    def expected(self) -> int:
        """How many workers the server starts, 0 where nobody has said."""
        return self.words[EXPECTED]

    def expect(self, workers: int) -> None:
        """Say how many workers the server starts; no more than there are seats for can be waited for."""
        self.words[EXPECTED] = min(workers, SEATS)

    @property
    def short_since(self) -> float | None:
        """Return the monotonic time since which workers are wanting, or None while none is."""
        return self.times[SHORT_SINCE] or None

    def note_short(self, now: float | None) -> None:
        """Record since when workers are wanting, the first time of which stands, or with None that none is."""
        if now is None or not self.times[SHORT_SINCE]:
            self.times[SHORT_SINCE] = now or 0.0

    @property
    def ready_at(self) -> float | None:
        """Return the monotonic time at which the instance was first ready, or None before that."""
        return self.times[READY_AT] or None

    def note_ready(self, now: float) -> None:
        """Record that the instance is ready; the first time stands."""
        if not self.times[READY_AT]:
            self.times[READY_AT] = now

    @property
    def held_since(self) -> float | None:
        """Return the monotonic time at which somebody took the instance out by hand, or None."""
        return self.times[HELD_AT] or None

    def hold(self, now: float | None) -> None:
        """Take the instance out by hand from `now` on, or with None let it be in again."""
        self.times[HELD_AT] = now or 0.0

    @property
    def managed(self) -> bool:
        """Whether a worker of this instance has had the management port."""
        return bool(self.words[MANAGED])

    def manage(self) -> None:
        """Record that a worker of this instance has the management port."""
        self.words[MANAGED] = 1

    @property
    def asked_at(self) -> float | None:
        """Return the monotonic time of the stop signal, or None before one."""
        return self.times[ASKED_AT] or None

    def ask(self, now: float) -> None:
        """Record that the instance was asked to leave; safe in a signal handler, and the first time stands.

        What was asked before the instance was revived is over.
        """
        if not self.times[ASKED_AT] and now > self.times[REVIVED_AT]:
            self.times[ASKED_AT] = now

    def revive(self, now: float) -> None:
        """Take back that the instance leaves: a worker has been started, which a parent that leaves does not do."""
        self.times[REVIVED_AT] = now
        self.times[ASKED_AT] = self.times[SETTLE_ENDED_AT] = 0.0
        if self.phase.leaving:
            self.words[PHASE] = RANK[Phase.STARTING]
        for phase, rank in RANK.items():
            if phase.leaving:
                self.times[ENTERED + rank] = 0.0

    @property
    def leaving(self) -> bool:
        """Whether the instance was asked to leave, even if nobody has acted on it yet."""
        return self.times[ASKED_AT] != 0.0

    @property
    def settle_ended_at(self) -> float | None:
        """Return the monotonic time at which the instance's settle ended, or None before that."""
        return self.times[SETTLE_ENDED_AT] or None

    def end_settle(self, now: float) -> None:
        """Record that the instance's settle ended; the first time stands."""
        if not self.times[SETTLE_ENDED_AT]:
            self.times[SETTLE_ENDED_AT] = now

    @property
    def lost_workers(self) -> int:
        """Return how many workers died without leaving."""
        return self.words[LOST_WORKERS]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other processes, and this one's other threads, out for the length of the block.

        May be held already: up to gunicorn 23 the master reaps its workers in a signal handler.
        """
        with self._mutex:
            outermost, self._depth = self._depth == 0, self._depth + 1
            try:
                if outermost and self._descriptor is not None:
                    self._lock(self._descriptor, fcntl.LOCK_EX)
                yield
            finally:
                self._depth -= 1
                if outermost and self._descriptor is not None:
                    self._lock(self._descriptor, fcntl.LOCK_UN)

    def claim(self, pid: int) -> Seat | None:
        """Return an empty seat, now `pid`'s, or None when all are taken."""
        with self.locked():
            for index in range(SEATS):
                seat = Seat(self, index)
                if seat.pid == 0:
                    seat.clear()
                    seat.pid = pid
                    return seat
        return None

    def seat_of(self, pid: int) -> Seat | None:
        """Return the seat of `pid`, or None."""
        return next((seat for seat in self.seats() if seat.pid == pid), None)

    def seats(self) -> Iterator[Seat]:
        """Yield every seat that is taken."""
        for index in range(SEATS):
            if self.words[HEADER_WORDS + index * SEAT_WORDS + PID] != 0:
                yield Seat(self, index)

    def fold(self, seat: Seat, *, pid: int, lost: bool) -> Remains | None:
        """Add what `seat` of the worker `pid` counted to the instance, and empty it; `lost` if it died without leaving.

        Returns None, doing nothing, where somebody else has folded it meanwhile.
        """
        with self.locked():
            if seat.pid != pid:
                return None
            remains = Remains(seat.pid, seat.begun, tuple(seat.rows()), seat.note)
            self.words[FOLDED_BEGUN] += seat.begun
            self.times[LAST_ARRIVAL] = max(self.times[LAST_ARRIVAL], seat.last_arrival or 0.0)
            if lost:
                self.words[LOST_WORKERS] += 1
            seat.clear()
        return remains

    @property
    def begun(self) -> int:
        """Return how many requests the instance ever began, dead workers included."""
        return self.words[FOLDED_BEGUN] + sum(seat.begun for seat in self.seats())

    @property
    def in_flight(self) -> int:
        """Return how much the instance's workers hold in flight."""
        return sum(seat.in_flight for seat in self.seats())

    @property
    def last_arrival(self) -> float | None:
        """Return the monotonic time of the last request at any worker, or None if none ever came."""
        return max([self.times[LAST_ARRIVAL], *(seat.last_arrival or 0.0 for seat in self.seats())]) or None

    def close(self) -> None:
        """Let go of the page; for whoever only looked at it."""
        self.words.release()
        self.times.release()
        self.page.close()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def remove(self) -> None:
        """Remove the page's file, if it has one; processes that hold the page keep it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _foreign(path: Path | None) -> BoardError:
    return BoardError(
        errno.EINVAL, f"{path} is not a page of this version of zdlife. Remove it, or set ZDLIFE_BOARD_DIR."
    )


def _fill(descriptor: int) -> None:
    """Write the whole page as zeros, so that every block of it exists."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    left = SIZE_BYTES
    while left:
        left -= os.write(descriptor, bytes(left))


def process_lives(pid: int) -> bool:
    """Return whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
