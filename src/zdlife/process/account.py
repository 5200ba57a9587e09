"""What became of the work of one worker: what it cut off, and what came too late."""

from __future__ import annotations

import json
import logging
from typing import Any

from zdlife.process.inflight import InFlight
from zdlife.process.report import REMEMBERED, LateArrivals
from zdlife.process.seat import Seat

logger = logging.getLogger("zdlife.lifecycle")


class Account:
    """Kept by the monitor's thread; `late` may be added to from any."""

    def __init__(self) -> None:
        self.late = LateArrivals()
        self.cut: list[dict[str, Any]] = []

    def name_the_cut(self, inflight: InFlight, now: float) -> None:
        """Enter what is still in flight, with its age and stack, and log each piece."""
        for piece in inflight.pieces(now, stacks=True):
            named = piece.as_dict()
            self.cut.append(named)
            what = " ".join(filter(None, (piece.kind, piece.id, piece.method, piece.route)))
            logger.error("cut off after %.1f s: %s", piece.age, what, extra={"zdlife": named})

    def leave_note(self, seat: Seat, *, forced: str | None) -> None:
        """Tell the master at `seat`; fewer of each rather than nothing."""
        late = self.late.as_dict()
        for most in (REMEMBERED, 8, 2, 0):
            note = {"late": {**late, "arrivals": late["arrivals"][:most]}, "cut": self.cut[:most], "forced": forced}
            if seat.leave_note(json.dumps(note, separators=(",", ":")).encode()):
                return
