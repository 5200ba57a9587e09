"""One shared page per instance: what the master and the workers tell each other.

The page is memory, not a protocol: every word has one writer at a time, and is eight aligned bytes, which the
processors Python runs on store and load whole. Readers may see a value a moment old and never a torn one. Nobody
waits for anybody, so a dead process can hold nobody up.

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
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zdlife.errors import BoardError
from zdlife.machine.phases import Phase

MAGIC = 0x5A444C4946450002  # "ZDLIFE", layout 2
PHASES = tuple(Phase)
RANK = {phase: rank for rank, phase in enumerate(PHASES)}
WORD = 8
SEATS = 64
ROWS = 32
ROW_WORDS = 16
NOTE_BYTES = 4096
FACTS_BYTES = 8192

# The instance's words.
_MAGIC, _PHASE, _ASKED_AT, _SETTLE_ENDED_AT, _FOLDED_BEGUN, _LOST_WORKERS, _LAST_ARRIVAL = range(7)
_EXPECTED, _READY_AT, _HELD_AT, _MANAGED = range(7, 11)
_ENTERED = 16  # and one for each phase
ERRANDS, ERRAND_WORDS, MOST_ERRANDS = 24, 3, 16
_HEADER_WORDS = 80
# The words of a seat.
_PID, _BEAT, _BEGUN, _IN_FLIGHT, _SEAT_ARRIVAL, _RELEASED, _ASKED, _NOTE_SIZE, _STANDS = range(9)
_ABLE, _SEAT_RELEASE, _LOOP_BEAT, _FACTS = range(9, 13)
_SEAT_HEADER_WORDS = 16
_SEAT_WORDS = _SEAT_HEADER_WORDS + ROWS * ROW_WORDS + (NOTE_BYTES + FACTS_BYTES) // WORD
SIZE_BYTES = WORD * (_HEADER_WORDS + SEATS * _SEAT_WORDS)

_ROW = struct.Struct("=d120s")
_COUNTS = struct.Struct("=QQd")
"""A seat's `_BEGUN`, `_IN_FLIGHT` and `_SEAT_ARRIVAL`, which lie side by side and are written at once."""


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
        self.words = memoryview(page).cast("B").cast("Q")
        self.times = memoryview(page).cast("B").cast("d")
        if self.words[_MAGIC] not in (0, MAGIC):
            raise BoardError(
                errno.EINVAL, f"{path} is not a page of this version of zdlife. Remove it, or set ZDLIFE_BOARD_DIR."
            )
        self.words[_MAGIC] = MAGIC

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
        return PHASES[self.words[_PHASE]]

    def publish(self, phase: Phase, now: float) -> None:
        """Set the phase of the whole instance; for the one process that conducts it."""
        self.words[_PHASE] = RANK[phase]
        entered = _ENTERED + RANK[phase]
        if not self.times[entered]:
            self.times[entered] = now

    def entered(self) -> Iterator[tuple[Phase, float]]:
        """Yield the phases that the instance has come to, with when, in the order of a life."""
        for phase, rank in RANK.items():
            if self.times[_ENTERED + rank]:
                yield phase, self.times[_ENTERED + rank]

    @property
    def expected(self) -> int:
        """How many workers the server starts, 0 where nobody has said."""
        return self.words[_EXPECTED]

    def expect(self, workers: int) -> None:
        """Say how many workers the server starts."""
        self.words[_EXPECTED] = workers

    @property
    def ready_at(self) -> float | None:
        """Return the monotonic time at which the instance was first ready, or None before that."""
        return self.times[_READY_AT] or None

    def note_ready(self, now: float) -> None:
        """Record that the instance is ready; the first time stands."""
        if not self.times[_READY_AT]:
            self.times[_READY_AT] = now

    @property
    def held_since(self) -> float | None:
        """Return the monotonic time at which somebody took the instance out by hand, or None."""
        return self.times[_HELD_AT] or None

    def hold(self, now: float | None) -> None:
        """Take the instance out by hand from `now` on, or with None let it be in again."""
        self.times[_HELD_AT] = now or 0.0

    @property
    def managed(self) -> bool:
        """Whether a worker of this instance has had the management port."""
        return bool(self.words[_MANAGED])

    def manage(self) -> None:
        """Record that a worker of this instance has the management port."""
        self.words[_MANAGED] = 1

    @property
    def asked_at(self) -> float | None:
        """Return the monotonic time of the stop signal, or None before one."""
        return self.times[_ASKED_AT] or None

    def ask(self, now: float) -> None:
        """Record that the instance was asked to leave; safe in a signal handler, and the first time stands."""
        if not self.times[_ASKED_AT]:
            self.times[_ASKED_AT] = now

    @property
    def leaving(self) -> bool:
        """Whether the instance was asked to leave, even if nobody has acted on it yet."""
        return self.times[_ASKED_AT] != 0.0

    @property
    def settle_ended_at(self) -> float | None:
        """Return the monotonic time at which the instance's settle ended, or None before that."""
        return self.times[_SETTLE_ENDED_AT] or None

    def end_settle(self, now: float) -> None:
        """Record that the instance's settle ended; the first time stands."""
        if not self.times[_SETTLE_ENDED_AT]:
            self.times[_SETTLE_ENDED_AT] = now

    @property
    def lost_workers(self) -> int:
        """Return how many workers died without leaving."""
        return self.words[_LOST_WORKERS]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other processes out for the length of the block; a page of one process has nobody to keep out."""
        if self._descriptor is None:
            yield
            return
        self._lock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
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
            if self.words[_HEADER_WORDS + index * _SEAT_WORDS + _PID] != 0:
                yield Seat(self, index)

    def fold(self, seat: Seat, *, pid: int, lost: bool) -> Remains | None:
        """Add what `seat` of the worker `pid` counted to the instance, and empty it; `lost` if it died without leaving.

        Returns None, doing nothing, where somebody else has folded it meanwhile.
        """
        with self.locked():
            if seat.pid != pid:
                return None
            remains = Remains(seat.pid, seat.begun, tuple(seat.rows()), seat.note)
            self.words[_FOLDED_BEGUN] += seat.begun
            self.times[_LAST_ARRIVAL] = max(self.times[_LAST_ARRIVAL], seat.last_arrival or 0.0)
            if lost:
                self.words[_LOST_WORKERS] += 1
            seat.clear()
        return remains

    @property
    def begun(self) -> int:
        """Return how many requests the instance ever began, dead workers included."""
        return self.words[_FOLDED_BEGUN] + sum(seat.begun for seat in self.seats())

    @property
    def in_flight(self) -> int:
        """Return how much the instance's workers hold in flight."""
        return sum(seat.in_flight for seat in self.seats())

    @property
    def last_arrival(self) -> float | None:
        """Return the monotonic time of the last request at any worker, or None if none ever came."""
        return max([self.times[_LAST_ARRIVAL], *(seat.last_arrival or 0.0 for seat in self.seats())]) or None

    def remove(self) -> None:
        """Remove the page's file, if it has one; processes that hold the page keep it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


class Seat:
    """One worker's place on the board: written by it, by its master in `release`, and by whoever claims or folds it."""

    __slots__ = (
        "_base",
        "_byte",
        "_counts",
        "_free",
        "_header",
        "_key",
        "_page",
        "_taken",
        "_times",
        "_words",
        "board",
        "index",
    )

    def __init__(self, board: Board, index: int) -> None:
        self.name_requests_by("x-request-id")
        self.board = board
        self.index = index
        self._base = _HEADER_WORDS + index * _SEAT_WORDS
        self._counts = WORD * (self._base + _BEGUN)
        self._byte = WORD * (self._base + _SEAT_HEADER_WORDS)
        self._page = board.page
        self._words = board.words
        self._times = board.times
        self._free = list(range(ROWS - 1, -1, -1))
        self._taken: dict[int, int] = {}

    def name_requests_by(self, header: str) -> None:
        """Take a request's id from this header."""
        self._header = header.lower().encode("latin-1")
        self._key = "HTTP_" + header.upper().replace("-", "_")

    def begin(self, token: int, now: float, begun: int, in_flight: int, subject: Any, kind: str) -> None:
        """Note that `token` began: the new counts, and a row that outlives this process. Never blocks.

        There are 32 rows; what begins while all are taken is counted and not named.
        """
        if kind == "work":
            self._words[self._base + _IN_FLIGHT] = in_flight
        else:
            _COUNTS.pack_into(self._page, self._counts, begun, in_flight, now)
        if not self._free:
            return
        row = self._free.pop()
        self._taken[token] = row
        # Written with every request, so it looks no further than it must, and calls nobody.
        method = name = ""
        if isinstance(subject, str):
            path = subject
        elif "wsgi.version" in subject:
            method, path = subject["REQUEST_METHOD"], subject.get("PATH_INFO", "")
            name = subject.get(self._key, "")
        else:
            method, path = subject.get("method", ""), subject["path"]
            for key, value in subject["headers"]:
                if key == self._header:
                    name = value.decode("latin-1")
                    break
        label = f"{kind}\t{method}\t{name[:48]}\t{path[:64]}".encode("utf-8", "replace")
        _ROW.pack_into(self._page, self._byte + row * _ROW.size, now, label)

    def end(self, token: int, in_flight: int) -> None:
        """Note that `token` ended."""
        self._words[self._base + _IN_FLIGHT] = in_flight
        row = self._taken.pop(token, None)
        if row is not None:
            self._times[self._base + _SEAT_HEADER_WORDS + row * ROW_WORDS] = 0.0
            self._free.append(row)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what began here and has not ended, as `began` (monotonic), `kind`, `method`, `route` and `id`."""
        for row in range(ROWS):
            began, label = _ROW.unpack_from(self._page, self._byte + row * _ROW.size)
            if began:
                words = label.rstrip(b"\0").decode("utf-8", "replace").split("\t", 3)
                kind, method, name, route = words + [""] * (4 - len(words))
                yield {"began": began, "kind": kind, "method": method or None, "route": route, "id": name or None}

    @property
    def pid(self) -> int:
        """The worker's process id, or 0."""
        return self._words[self._base + _PID]

    @pid.setter
    def pid(self, pid: int) -> None:
        self._words[self._base + _PID] = pid

    @property
    def begun(self) -> int:
        """How many requests this worker ever began."""
        return self._words[self._base + _BEGUN]

    @property
    def in_flight(self) -> int:
        """How much this worker holds in flight."""
        return self._words[self._base + _IN_FLIGHT]

    @property
    def last_arrival(self) -> float | None:
        """The monotonic time of this worker's last request, or None."""
        return self._times[self._base + _SEAT_ARRIVAL] or None

    @property
    def phase(self) -> Phase:
        """Where this worker stands."""
        return PHASES[self._words[self._base + _STANDS]]

    def publish(self, phase: Phase) -> None:
        """Say where this worker stands."""
        self._words[self._base + _STANDS] = RANK[phase]

    @property
    def beat_at(self) -> float | None:
        """The monotonic time at which this worker's monitor last turned, or None before its first turn."""
        return self._times[self._base + _BEAT] or None

    @property
    def loop_beat_at(self) -> float | None:
        """The monotonic time at which this worker's event loop last ran, or None where it has none."""
        return self._times[self._base + _LOOP_BEAT] or None

    @property
    def able(self) -> bool:
        """Whether this worker can serve, as it said at its last beat."""
        return self._words[self._base + _ABLE] != 0

    @property
    def plain(self) -> bool:
        """Whether this worker can serve and has nothing else to say."""
        return self._words[self._base + _ABLE] == 1

    @property
    def release_hash(self) -> int:
        """A number that is the same for every worker of one release."""
        return self._words[self._base + _SEAT_RELEASE]

    def beat(self, now: float, *, able: bool, plain: bool, release_hash: int, loop_beat: float | None) -> None:
        """Say that this worker's monitor turns, and what it says of itself."""
        self._words[self._base + _SEAT_RELEASE] = release_hash
        self._words[self._base + _ABLE] = 0 if not able else 1 if plain else 2
        self._times[self._base + _LOOP_BEAT] = loop_beat or 0.0
        self._times[self._base + _BEAT] = now

    @property
    def facts(self) -> bytes:
        """What this worker last told of itself; nothing where it is being written at every look."""
        start = self._byte + ROWS * _ROW.size + NOTE_BYTES
        for _ in range(3):
            word = self._words[self._base + _FACTS]
            size, sum_of_it = word & 0xFFFFFFFF, word >> 32
            found = bytes(self._page[start : start + min(size, FACTS_BYTES)])
            if zlib.crc32(found) == sum_of_it:
                return found
        return b""

    def tell(self, facts: bytes) -> bool:
        """Tell `facts` to the siblings; False, telling nothing, when they are over 8192 bytes."""
        if len(facts) > FACTS_BYTES:
            return False
        start = self._byte + ROWS * _ROW.size + NOTE_BYTES
        self._page[start : start + len(facts)] = facts
        self._words[self._base + _FACTS] = zlib.crc32(facts) << 32 | len(facts)
        return True

    @property
    def released(self) -> bool:
        """Whether the master has let this worker go."""
        return bool(self._words[self._base + _RELEASED])

    def release(self) -> None:
        """Let this worker go: the next SIGTERM it gets is from its master and means now."""
        self._words[self._base + _RELEASED] = 1

    def correct(self, *, begun: int, in_flight: int) -> None:
        """Write the counts as they are: two threads that end at once may have written theirs in the wrong order."""
        self._words[self._base + _BEGUN] = begun
        self._words[self._base + _IN_FLIGHT] = in_flight

    @property
    def asked(self) -> bool:
        """Whether this worker got a stop signal of its own."""
        return bool(self._words[self._base + _ASKED])

    def ask(self) -> None:
        """Record that this worker got a stop signal of its own; safe in a signal handler."""
        self._words[self._base + _ASKED] = 1

    @property
    def note(self) -> bytes:
        """What this worker wrote for whoever reports on the instance."""
        size = self._words[self._base + _NOTE_SIZE]
        start = self._byte + ROWS * _ROW.size
        return bytes(self._page[start : start + size])

    def leave_note(self, text: bytes) -> bool:
        """Leave `text` for whoever reports on the instance; False, leaving nothing, when it is over 4096 bytes."""
        if len(text) > NOTE_BYTES:
            return False
        start = self._byte + ROWS * _ROW.size
        self._page[start : start + len(text)] = text
        self._words[self._base + _NOTE_SIZE] = len(text)
        return True

    def clear(self) -> None:
        """Empty the seat."""
        start, end = WORD * self._base, WORD * (self._base + _SEAT_WORDS)
        self._page[start:end] = bytes(end - start)


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
