"""An instance's life, from what its processes reported of it, or else from what could be seen from outside."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zdlife.machine.phases import Phase
from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.result import InstanceRun, PhaseSpan

if TYPE_CHECKING:
    from zdlife.rehearsal.fleet import Instance

Report = Mapping[str, Any]
ARRIVAL, SHUTDOWN = "arrival", "shutdown"
LAST_ONE_COUNTS = frozenset({Phase.WARMING, Phase.READY, Phase.STOPPING})
"""Phases that an instance is in when its last process is; it settles and drains as soon as the first one does."""


def life(instance: Instance, clock: Clock) -> InstanceRun:
    """Return the whole life of an instance that has ended."""
    said = read_reports(instance.report)
    reports = [report for report in said if report["kind"] == SHUTDOWN]
    late = [report.get("late_arrivals", {}) for report in reports]
    arrivals = sum(entry.get("count", 0) for entry in late)
    return InstanceRun(
        name=instance.name,
        release=instance.version,
        phases=told_phases(reports, clock, told_at=instance.told_at) or seen_phases(instance, clock.now()),
        exit_code=instance.process.exit_code,
        told_to_stop_at=instance.told_at,
        late_arrivals=arrivals,
        latest_arrival=max(entry.get("worst", 0.0) for entry in late) if arrivals else None,
        clean=all(report.get("clean") for report in reports) if reports else None,
        cut=tuple(piece for report in reports for piece in report.get("cut", ())),
        killed=instance.killed,
        workers_lost=sum(report.get("workers_lost", 0) for report in reports),
        forced=next((report["forced"] for report in reports if report.get("forced")), None),
        arrivals=arrivals_of(said, clock),
    )


def arrivals_of(reports: Iterable[Report], clock: Clock) -> dict[int, float]:
    """Return when each worker was ready, by its process id; nothing where none of them reports its arrival."""
    return {report["pid"]: clock.from_unix(report["at"]) for report in reports if report["kind"] == ARRIVAL}


def read_reports(file: Path) -> list[Report]:
    """Return the reports in `file`.

    Each worker's arrival is one. The shutdown is one of a gunicorn instance, one of each process under other servers.
    """
    reports: list[Report] = []
    with contextlib.suppress(OSError):
        for line in file.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                report = json.loads(line)
                if isinstance(report, dict) and report.get("kind") in (ARRIVAL, SHUTDOWN):
                    reports.append(report)
    return reports


def told_phases(reports: Sequence[Report], clock: Clock, *, told_at: float | None) -> tuple[PhaseSpan, ...]:
    """Return the phases of the whole instance, one after the other, with the requests of all its processes.

    A worker whose report ends before the instance was told to stop was recycled: it counts with its requests alone.
    """
    begun: dict[Phase, float] = {}
    end = 0.0
    for report in reports:
        passages = [*_passages(report, clock)]
        if told_at is not None and all(until < told_at for _, _, until in passages):
            continue
        for phase, at, until in passages:
            first_or_last = max if phase in LAST_ONE_COUNTS else min
            begun[phase] = first_or_last(begun.get(phase, at), at)
            end = max(end, until)
    requests: Counter[Phase] = Counter()
    for report in reports:
        for passage in report["phases"]:
            requests[Phase(passage["phase"])] += passage.get("requests", 0)
    if not begun:
        return ()
    phases = [phase for phase in Phase if phase in begun]
    ends = [*(begun[phase] for phase in phases[1:]), end]
    return tuple(
        PhaseSpan(phase.value, begun[phase], until, requests[phase]) for phase, until in zip(phases, ends, strict=True)
    )


def seen_phases(instance: Instance, now: float) -> tuple[PhaseSpan, ...]:
    """Return what can be seen from outside: starting, ready, and stopping, which is all that a bare server has."""
    end = instance.ended_at if instance.ended_at is not None else now
    told = instance.told_at if instance.told_at is not None else end
    ready = instance.ready_at if instance.ready_at is not None else told
    seen = (("starting", instance.started_at, ready), ("ready", ready, told), ("stopping", told, end))
    return tuple(PhaseSpan(phase, at, until) for phase, at, until in seen if until > at)


def _passages(report: Report, clock: Clock) -> Iterator[tuple[Phase, float, float]]:
    """Yield every phase of one process, with its beginning and end on the run's clock."""
    for passage in report["phases"]:
        at = clock.from_unix(passage["at"])
        yield Phase(passage["phase"]), at, at + passage["seconds"]
