"""What the workers of an instance tell each other, and what is to be thought of one that says nothing."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from zdlife.machine.phases import Phase
from zdlife.machine.readiness import Reason, Verdict, WorkerView
from zdlife.process.board import Board, process_lives
from zdlife.process.seat import Seat

LATE_AFTER = 1.0
"""Seconds without a beat after which it is looked whether the worker's process is still there."""
SILENT_AFTER = 5.0
"""Seconds without a beat after which a worker's last word says nothing of the present."""


def tell(seat: Seat, *, verdict: Verdict, about: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Tell the siblings what this worker says of itself, with as much detail as there is room for.

    `about` is what is the same for as long as it lives: its release, its server, its times.
    """
    said = {
        "about": about,
        "reasons": [[reason.word, reason.since] for reason in verdict.reasons],
        "cautions": [[reason.word, reason.since] for reason in verdict.cautions],
    }
    less_history = [{**check, "history": check["history"][-3:]} for check in facts["checks"]]
    shorter = {**facts, "checks": less_history}
    for detail in (facts, shorter, {}):
        if seat.tell(zlib.compress(json.dumps({**said, **detail}, separators=(",", ":"), default=str).encode(), 1)):
            return


def heard(seat: Seat) -> dict[str, Any]:
    """Return what a worker last told; nothing if it has told nothing yet."""
    with suppress(ValueError, zlib.error):
        found = json.loads(zlib.decompress(seat.facts))
        if isinstance(found, dict):
            return found
    return {}


def view_of(seat: Seat, now: float) -> WorkerView | None:
    """Return one worker as its siblings see it, or None if its process is gone."""
    pid, beat = seat.pid, seat.beat_at
    quiet_for = 0.0 if beat is None else now - beat
    if pid == 0 or (quiet_for > LATE_AFTER and not process_lives(pid)):
        return None
    return WorkerView(
        pid,
        _phase(seat),
        str(seat.release_hash),
        Verdict() if seat.plain else _verdict(seat, now),
        silent_since=beat if quiet_for > SILENT_AFTER else None,
    )


def views(board: Board, now: float, *, but: Seat | None = None) -> Iterator[WorkerView]:
    """Yield every worker that has a seat at the board, but the one that asks."""
    for seat in board.seats():
        if but is not None and seat.index == but.index:
            continue
        found = view_of(seat, now)
        if found is not None:
            yield found


def _phase(seat: Seat) -> Phase:
    """Return where a worker stands; a recycled one that still answers speaks as one that is ready (phases, rule 8)."""
    return Phase.READY if seat.able else seat.phase


def _verdict(seat: Seat, now: float) -> Verdict:
    told = heard(seat)
    reasons = tuple(Reason(word, since) for word, since in told.get("reasons", ()))
    cautions = tuple(Reason(word, since) for word, since in told.get("cautions", ()))
    if seat.able:
        return Verdict((), cautions)
    return Verdict(reasons or (Reason(seat.phase.value, seat.beat_at or now),), cautions)
