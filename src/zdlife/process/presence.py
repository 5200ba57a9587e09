"""This worker among its siblings: what it says of itself, what it hears of them, and what they are together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any

from zdlife.machine.budget import limits_of, misfits
from zdlife.machine.phases import Machine, Phase
from zdlife.machine.readiness import WORKERS, Reason, Standing, Surroundings, Verdict, WorkerView, instance
from zdlife.process import siblings
from zdlife.process.board import Board, process_lives
from zdlife.process.errands import Errands, mark_of
from zdlife.process.host import Host
from zdlife.process.pulse import Pulse
from zdlife.process.readiness import Readiness
from zdlife.process.seat import Seat
from zdlife.release import Release
from zdlife.settings import Settings

DETAILS_EVERY = 0.2
MONITOR = "monitor"
LOOP = "loop"


class Presence:
    """One worker's place in its instance. `turn` belongs to the monitor's thread; everything else is safe from any.

    Any worker answers for the whole instance: from its own memory, and from what its siblings say on the board.
    """

    def __init__(
        self,
        readiness: Readiness,
        *,
        machine: Machine,
        board: Board,
        seat: Seat | None,
        about: Mapping[str, Any],
        pulse: Pulse | None,
        conducted: bool,
    ) -> None:
        self.readiness = readiness
        self.board = board
        self.seat = seat
        self.about = about
        self.pulse = pulse
        self.turned_at = monotonic()
        self._machine = machine
        self._conducted = conducted
        self._told: Verdict | None = None
        self._told_at = 0.0
        self._errands = Errands(board, pid=os.getpid())
        self._release_hash = mark_of(f"{about['service']} {about['version']}")

    @property
    def phase(self) -> Phase:
        """Where this worker stands, or its instance where that leaves and this worker has not heard yet."""
        own = self._machine.state.phase
        return own if own.leaving or not self.board.phase.leaving else self.board.phase

    @property
    def instance_phase(self) -> Phase:
        """Where the whole instance stands, whichever worker is asked."""
        if self._leaving_since() is not None:
            return self.phase if self.phase.leaving else Phase.SETTLING
        if self.board.ready_at is not None:
            return Phase.READY
        return Phase.STARTING if self._machine.state.phase is Phase.STARTING else Phase.WARMING

    def timeline(self) -> tuple[tuple[Phase, float], ...]:
        """Return the phases that the instance has come to, and when (monotonic seconds); the last is the present."""
        return tuple(self.board.entered()) if self._conducted else self._machine.entered

    def _own_phase(self) -> tuple[Phase, float]:
        """Where this worker stands; one that is recycled goes on speaking for its instance (phases, rule 8)."""
        state = self._machine.state
        return (Phase.READY if state.ready else state.phase), state.since

    def _leaving_since(self) -> tuple[Phase, float] | None:
        """The phase of an instance that leaves and since when; None while it stays, whatever this worker does."""
        state = self._machine.state
        asked_at = self.board.asked_at or state.asked_at
        if asked_at is None:
            alone = self.seat is None and state.phase.leaving and not state.ready
            return (state.phase, state.since) if alone else None
        phase = self.phase
        return (phase if phase.leaving else Phase.SETTLING), asked_at

    def turn(self) -> float:
        """Let the checks and warmers go on, tell the siblings what has come of it, and say when to be called again."""
        now = monotonic()
        phase, _ = self._own_phase()
        wakes = self.readiness.turn(phase, now, self._errands)
        if self.pulse is not None:
            self.pulse.feel(now)
        self.turned_at = now
        self.tell()
        standing = self.standing(now)
        short = any(reason.word == WORKERS for reason in standing.reasons)
        self.board.note_short(now if short else None)
        if self.board.ready_at is None and standing.ready:
            self.board.note_ready(now)
        return wakes

    def tell(self) -> None:
        """Tell the siblings what this worker says of itself; each detail a few times a second at the most."""
        seat, now = self.seat, monotonic()
        if seat is None:
            return
        verdict = self.verdict(now)
        if verdict != self._told or now - self._told_at >= DETAILS_EVERY:
            self._told, self._told_at = verdict, now
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
        phase, since = self._own_phase()
        return self.readiness.verdict(phase, since, now)

    def views(self, now: float) -> list[WorkerView]:
        """Return every worker of the instance, this one first."""
        phase, _ = self._own_phase()
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
        """Yield each worker whose monitor or event loop has not turned for so many seconds, and which of them.

        A loop that is blocked while the application starts or warms up is none of it: how long to wait for that is the
        startup probe's business.
        """
        for pid, beat, loop_beat in self._beats():
            for word, at in ((MONITOR, beat), (LOOP, loop_beat)):
                if at is not None and now - at >= after and process_lives(pid):
                    yield pid, Reason(word, at)

    def _beats(self) -> Iterator[tuple[int, float | None, float | None]]:
        arriving = self._machine.state.phase.arriving
        yield os.getpid(), self.turned_at, None if self.pulse is None or arriving else self.pulse.felt_at
        for seat in self.board.seats():
            if self.seat is None or seat.index != self.seat.index:
                yield seat.pid, seat.beat_at, None if seat.phase.arriving else seat.loop_beat_at

    def standing(self, now: float) -> Standing:
        """Return the answer of the whole instance at `now` (monotonic seconds)."""
        phase, since = self._leaving_since() or (None, 0.0)
        around = Surroundings(
            expected=self.board.expected,
            at_least=self.about["at_least"],
            was_ready=self.board.ready_at is not None,
            leaving=phase,
            since=since,
            held_since=self.board.held_since,
            short_since=self.board.short_since,
        )
        return instance(self.views(now), around=around, now=now)


def about(release: Release, settings: Settings, host: Host | None) -> dict[str, Any]:
    """Return what is told of an instance to whoever looks at it, and stays the same for as long as it lives."""
    limits = limits_of(settings)
    server = None if host is None or host.conducted else host.deadline  # A master sees to its own.
    return {
        **release.as_dict(),
        "environment": release.environment,
        "server": "none" if host is None else host.name,
        "at_least": settings.ready_workers,
        "budget": {
            **{name: getattr(limits, name) for name in ("grace", "settle", "settle_max", "drain", "cleanup")},
            "misfits": [found.message for found in misfits(limits, server=server)],
        },
    }
