"""One worker's place on its instance's board."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from zdlife.machine.phases import Phase
from zdlife.process.layout import (
    ABLE,
    ASKED,
    BEAT,
    BEGUN,
    COUNTS,
    FACTS,
    FACTS_BYTES,
    HEADER_WORDS,
    IN_FLIGHT,
    LOOP_BEAT,
    NOTE_BYTES,
    NOTE_SIZE,
    PHASES,
    PID,
    RANK,
    RELEASED,
    ROW,
    ROW_WORDS,
    ROWS,
    SEAT_ARRIVAL,
    SEAT_HEADER_WORDS,
    SEAT_RELEASE,
    SEAT_WORDS,
    STANDS,
    WORD,
)

if TYPE_CHECKING:
    from zdlife.process.board import Board


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
        self._base = HEADER_WORDS + index * SEAT_WORDS
        self._counts = WORD * (self._base + BEGUN)
        self._byte = WORD * (self._base + SEAT_HEADER_WORDS)
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
            self._words[self._base + IN_FLIGHT] = in_flight
        else:
            COUNTS.pack_into(self._page, self._counts, begun, in_flight, now)
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
        ROW.pack_into(self._page, self._byte + row * ROW.size, now, label)

    def end(self, token: int, in_flight: int) -> None:
        """Note that `token` ended."""
        self._words[self._base + IN_FLIGHT] = in_flight
        row = self._taken.pop(token, None)
        if row is not None:
            self._times[self._base + SEAT_HEADER_WORDS + row * ROW_WORDS] = 0.0
            self._free.append(row)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what began here and has not ended, as `began` (monotonic), `kind`, `method`, `route` and `id`."""
        for row in range(ROWS):
            began, label = ROW.unpack_from(self._page, self._byte + row * ROW.size)
            if began:
                words = label.rstrip(b"\0").decode("utf-8", "replace").split("\t", 3)
                kind, method, name, route = words + [""] * (4 - len(words))
                yield {"began": began, "kind": kind, "method": method or None, "route": route, "id": name or None}

    @property
    def pid(self) -> int:
        """The worker's process id, or 0."""
        return self._words[self._base + PID]

    @pid.setter
    def pid(self, pid: int) -> None:
        self._words[self._base + PID] = pid

    @property
    def begun(self) -> int:
        """How many requests this worker ever began."""
        return self._words[self._base + BEGUN]

    @property
    def in_flight(self) -> int:
        """How much this worker holds in flight."""
        return self._words[self._base + IN_FLIGHT]

    @property
    def last_arrival(self) -> float | None:
        """The monotonic time of this worker's last request, or None."""
        return self._times[self._base + SEAT_ARRIVAL] or None

    @property
    def phase(self) -> Phase:
        """Where this worker stands."""
        return PHASES[self._words[self._base + STANDS]]

    def publish(self, phase: Phase) -> None:
        """Say where this worker stands."""
        self._words[self._base + STANDS] = RANK[phase]

    @property
    def beat_at(self) -> float | None:
        """The monotonic time at which this worker's monitor last turned, or None before its first turn."""
        return self._times[self._base + BEAT] or None

    @property
    def loop_beat_at(self) -> float | None:
        """The monotonic time at which this worker's event loop last ran, or None where it has none."""
        return self._times[self._base + LOOP_BEAT] or None

    @property
    def able(self) -> bool:
        """Whether this worker can serve, as it said at its last beat."""
        return self._words[self._base + ABLE] != 0

    @property
    def plain(self) -> bool:
        """Whether this worker can serve and has nothing else to say."""
        return self._words[self._base + ABLE] == 1

    @property
    def release_hash(self) -> int:
        """A number that is the same for every worker of one release."""
        return self._words[self._base + SEAT_RELEASE]

    def beat(self, now: float, *, able: bool, plain: bool, release_hash: int, loop_beat: float | None) -> None:
        """Say that this worker's monitor turns, and what it says of itself."""
        self._words[self._base + SEAT_RELEASE] = release_hash
        self._words[self._base + ABLE] = 0 if not able else 1 if plain else 2
        self._times[self._base + LOOP_BEAT] = loop_beat or 0.0
        self._times[self._base + BEAT] = now

    @property
    def facts(self) -> bytes:
        """What this worker last told of itself; nothing where it is being written at every look."""
        start = self._byte + ROWS * ROW.size + NOTE_BYTES
        for _ in range(3):
            word = self._words[self._base + FACTS]
            size, sum_of_it = word & 0xFFFFFFFF, word >> 32
            found = bytes(self._page[start : start + min(size, FACTS_BYTES)])
            if zlib.crc32(found) == sum_of_it:
                return found
        return b""

    def tell(self, facts: bytes) -> bool:
        """Tell `facts` to the siblings; False, telling nothing, when they are over 8192 bytes."""
        if len(facts) > FACTS_BYTES:
            return False
        start = self._byte + ROWS * ROW.size + NOTE_BYTES
        self._page[start : start + len(facts)] = facts
        self._words[self._base + FACTS] = zlib.crc32(facts) << 32 | len(facts)
        return True

    @property
    def released(self) -> bool:
        """Whether the master has let this worker go."""
        return bool(self._words[self._base + RELEASED])

    def release(self) -> None:
        """Let this worker go: the next SIGTERM it gets is from its master and means now."""
        self._words[self._base + RELEASED] = 1

    def correct(self, *, begun: int, in_flight: int) -> None:
        """Write the counts as they are: two threads that end at once may have written theirs in the wrong order."""
        self._words[self._base + BEGUN] = begun
        self._words[self._base + IN_FLIGHT] = in_flight

    @property
    def asked(self) -> bool:
        """Whether this worker got a stop signal of its own."""
        return bool(self._words[self._base + ASKED])

    def ask(self) -> None:
        """Record that this worker got a stop signal of its own; safe in a signal handler."""
        self._words[self._base + ASKED] = 1

    @property
    def note(self) -> bytes:
        """What this worker wrote for whoever reports on the instance."""
        size = self._words[self._base + NOTE_SIZE]
        start = self._byte + ROWS * ROW.size
        return bytes(self._page[start : start + size])

    def leave_note(self, text: bytes) -> bool:
        """Leave `text` for whoever reports on the instance; False, leaving nothing, when it is over 4096 bytes."""
        if len(text) > NOTE_BYTES:
            return False
        start = self._byte + ROWS * ROW.size
        self._page[start : start + len(text)] = text
        self._words[self._base + NOTE_SIZE] = len(text)
        return True

    def clear(self) -> None:
        """Empty the seat."""
        start, end = WORD * self._base, WORD * (self._base + SEAT_WORDS)
        self._page[start:end] = bytes(end - start)
