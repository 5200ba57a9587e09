"""The shutdown report: what an instance did from its start to its exit, as one log record and one line of JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zdlife.machine.phases import Machine, Phase, Reading
from zdlife.release import Release
from zdlife.version import __version__

logger = logging.getLogger("zdlife.report")
REMEMBERED = 50


class LateArrivals:
    """The requests that arrived after the settle had ended: how many, how late, and from whom (the last 50 of them).

    Safe from any thread: they are few, and a lock does no harm here.
    """

    def __init__(self) -> None:
        self.count = 0
        self.worst = 0.0
        self.arrivals: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()

    def add(self, *, delay: float, peer: str | None, method: str | None, route: str) -> None:
        """Count one request that arrived `delay` seconds after the settle."""
        with self._lock:
            self.count += 1
            self.worst = max(self.worst, delay)
            self.arrivals.append({"delay": round(delay, 3), "peer": peer, "method": method, "route": route})

    def merge(self, other: Mapping[str, Any]) -> None:
        """Add what another worker counted."""
        with self._lock:
            self.count += other["count"]
            self.worst = max(self.worst, other["worst"])
            self.arrivals.extend(other["arrivals"])

    def as_dict(self) -> dict[str, Any]:
        """Return them as the report has them; delays in seconds."""
        return {"count": self.count, "worst": round(self.worst, 3), "arrivals": list(self.arrivals)}


def compose(
    machine: Machine,
    now: float,
    *,
    reading: Reading,
    release: Release,
    server: str,
    late: LateArrivals,
    cut: Iterable[Mapping[str, Any]],
    lost_workers: int,
    forced: str | None = None,
) -> dict[str, Any]:
    """Return the report on a life that ends `now` (monotonic seconds). Times named `at` in it are Unix seconds.

    `forced` is why a worker of this instance was forced to end, if its master was not.
    """
    state = machine.state
    forced = state.forced or forced
    wall = time.time() - now
    pieces = list(cut)
    last = state.last_settled
    while_settling = None if last is None or state.asked_at is None or last < state.asked_at else last - state.asked_at
    return {
        "zdlife": __version__,
        "kind": "shutdown",
        **release.as_dict(),
        "environment": release.environment,
        "server": server,
        "pid": os.getpid(),
        "clean": forced is None and not pieces and lost_workers == 0,
        "cause": state.cause,
        "forced": forced,
        "asked_at": None if state.asked_at is None else round(wall + state.asked_at, 3),
        "phases": [
            {
                "phase": passage.phase.value,
                "at": round(wall + passage.at, 3),
                "seconds": round(passage.until - passage.at, 3),
                "requests": passage.requests,
            }
            for passage in machine.passages(now, reading)
            if passage.phase is not Phase.STOPPED
        ],
        "settle": {"last_arrival": None if while_settling is None else round(while_settling, 3)},
        "late_arrivals": late.as_dict(),
        "cut": pieces,
        "workers_lost": lost_workers,
    }


def write_arrival(
    machine: Machine, now: float, *, release: Release, server: str, told: Mapping[str, Any], to: Path | None
) -> None:
    """Append one line of JSON to the file `to` that says when this worker was first ready, and what it waited for.

    Nothing is written where there is no file. Never raises.
    """
    if to is None:
        return
    begun = next(machine.passages(now, Reading())).at
    line = {
        "zdlife": __version__,
        "kind": "arrival",
        **release.as_dict(),
        "environment": release.environment,
        "server": server,
        "pid": os.getpid(),
        "at": round(time.time(), 3),
        "seconds": round(now - begun, 3),
        **told,
    }
    try:
        _append(line, to)
    except OSError:
        logger.exception("the arrival record cannot be written")


def write(report: Mapping[str, Any], *, to: Path | None) -> None:
    """Log `report` once and append it as one line of JSON to the file `to`, or to standard error.

    Never raises: what cannot be written is logged, and the process goes on ending.
    """
    level = logging.INFO if report["clean"] else logging.WARNING
    logger.log(level, "stopped, %s", "clean" if report["clean"] else _why(report), extra={"zdlife": report})
    try:
        if to is not None:
            _append(report, to)
            return
        if sys.stderr is None:
            raise OSError("there is no standard error")
        sys.stderr.write(_line(report))
        sys.stderr.flush()
    except (OSError, ValueError):
        logger.exception("the shutdown report cannot be written")


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":")) + "\n"


def _append(record: Mapping[str, Any], to: Path) -> None:
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, _line(record).encode())
    finally:
        os.close(descriptor)


def _why(report: Mapping[str, Any]) -> str:
    """Say in a few words why the end was not clean."""
    if report["forced"]:
        return f"forced: {report['forced']}, {len(report['cut'])} cut off"
    return f"{len(report['cut'])} cut off, {report['workers_lost']} workers lost"
