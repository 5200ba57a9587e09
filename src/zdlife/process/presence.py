"""This worker among its siblings: what it says of itself, what it hears of them, and what they are together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any

from zdlife.machine.phases import Phase
from zdlife.machine.readiness import Reason, Standing, Surroundings, Verdict, WorkerView, instance
from zdlife.process import siblings
from zdlife.process.board import Board, Seat, process_lives
from zdlife.process.errands import Errands, mark_of
from zdlife.process.pulse import Pulse
from zdlife.process.readiness import Readiness

MONITOR = "monitor"
LOOP = "loop"


class Presence:
    """One worker's place in its instance. `turn` belongs to the monitor's thread; everything else is safe from any.

    `own` says which phase this worker speaks from, and since when.
    """

    def __init__(
        self,
        readiness: Readiness,
        *,
        board: Board,
        seat: Seat | None,
        about: Mapping[str, Any],
        pulse: Pulse | None,
        own: Callable[[], tuple[Phase, float]],
        at_least: int | None,
    ) -> None:
        self.readiness = readiness
        self.board = board
        self.seat = seat
        self.pulse = pulse
        self.turned_at = monotonic()
        self.about = about
        self._own = own
        self._at_least = at_least
        self._errands = Errands(board, pid=os.getpid())
        self._release_hash = mark_of(f"{about['service']} {about['version']}")

    def turn(self) -> float:
        """Let the checks and warmers go on, tell the siblings what has come of it, and say when to be called again."""
        now = monotonic()
        phase, _ = self._own()
        wakes = self.readiness.turn(phase, now, self._errands)
        if self.pulse is not None:
            self.pulse.feel(now)
        self.turned_at = now
        if self.seat is not None:
            self._tell(self.seat, now)
        if self.board.ready_at is None and self.standing(now, leaving=None).ready:
            self.board.note_ready(now)
        return wakes

    def _tell(self, seat: Seat, now: float) -> None:
        verdict = self.verdict(now)
        siblings.tell(seat, verdict=verdict, about=self.about, facts=self.readiness.facts(now))
        seat.beat(
            now,
            able=verdict.able,
            plain=verdict.able and not verdict.cautions,
            release_hash=self._release_hash,
            loop_beat=None if self.pulse is None else self.pulse.felt_at,
        )

    def verdict(self, now: float) -> Verdict:
        """Return what this worker says of itself."""
        phase, since = self._own()
        return self.readiness.verdict(phase, since, now)

    def views(self, now: float) -> list[WorkerView]:
        """Return every worker of the instance, this one first."""
        phase, _ = self._own()
        silent = now - self.turned_at > siblings.SILENT_AFTER
        own = WorkerView(
            os.getpid(),
            phase,
            str(self._release_hash),
            self.verdict(now),
            silent_since=self.turned_at if silent else None,
        )
        return [own, *siblings.views(self.board, now, but=self.seat)]

    def stuck(self, now: float, *, after: float) -> Iterator[tuple[int, Reason]]:
        """Yield each worker whose monitor or event loop has not turned for so many seconds, and which of them."""
        for pid, beat, loop_beat in self._beats():
            for word, at in ((MONITOR, beat), (LOOP, loop_beat)):
                if at is not None and now - at >= after and process_lives(pid):
                    yield pid, Reason(word, at)

    def _beats(self) -> Iterator[tuple[int, float | None, float | None]]:
        yield os.getpid(), self.turned_at, None if self.pulse is None else self.pulse.felt_at
        for seat in self.board.seats():
            if self.seat is None or seat.index != self.seat.index:
                yield seat.pid, seat.beat_at, seat.loop_beat_at

    def standing(self, now: float, *, leaving: tuple[Phase, float] | None) -> Standing:
        """Return the answer of the whole instance; `leaving` is the phase of one that leaves, and since when."""
        phase, since = leaving or (None, 0.0)
        around = Surroundings(
            expected=self.board.expected,
            at_least=self._at_least,
            was_ready=self.board.ready_at is not None,
            leaving=phase,
            since=since,
            held_since=self.board.held_since,
        )
        return instance(self.views(now), around=around, now=now)
