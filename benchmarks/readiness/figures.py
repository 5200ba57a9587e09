"""How long the probes of one situation took, and what else the machine was doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from time import sleep

from benchmarks.readiness.prober import Probe


@dataclass(frozen=True, slots=True)
class Latency:
    """Of so many probes: how many were not answered 2xx, and how long the answers took, in milliseconds."""

    probes: int
    lost: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    def __str__(self) -> str:
        return f"{self.p50_ms:>9.2f}{self.p99_ms:>10.2f}{self.max_ms:>10.2f} ms"


def latency(probes: Sequence[Probe]) -> Latency:
    """Return the figures of some probes, of at least one."""
    times = sorted(probe.latency * 1e3 for probe in probes)
    return Latency(
        probes=len(times),
        lost=sum(not probe.green for probe in probes),
        p50_ms=round(percentile(times, 50), 3),
        p99_ms=round(percentile(times, 99), 3),
        max_ms=round(times[-1], 3),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the least of the values that `percent` of them do not exceed."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def busy_share(seconds: float = 0.5) -> float:
    """Return the share of the processors' time that somebody used, over so long."""
    idle, total = _processors()
    sleep(seconds)
    idle_after, total_after = _processors()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def _processors() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)
