"""Measures several ways to do the same thing against each other, in one run and by turns.

On a shared machine an absolute time moves by a third from one minute to the next. So every round runs each contestant
once, in an order that rotates, and what counts is the difference to the first contestant *within* a round; of those
differences the median is taken. The absolute median is printed for the order of magnitude only.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles

Lap = Callable[[int], float]
"""Does the thing so many times and returns the seconds of processor time that took: other processes count less."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to do it, and a word on what surrounds it."""

    name: str
    lap: Lap
    in_flight: int = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """How one contestant fared against the first; times are microseconds for one request."""

    name: str
    in_flight: int
    median_us: float
    added_us: float
    added_quartiles_us: tuple[float, float]
    ratio: float


def measure(contestants: Sequence[Contestant], *, rounds: int, requests: int) -> list[Figure]:
    """Return a figure for each contestant, in order; the first is what the others are compared with."""
    times: list[list[float]] = [[] for _ in contestants]
    for contestant in contestants:
        contestant.lap(max(1, requests // 2))
    for number in range(rounds):
        for position in range(len(contestants)):
            index = (number + position) % len(contestants)
            times[index].append(contestants[index].lap(requests) / requests * 1e6)
    first = times[0]
    return [_figure(contestant, own, first) for contestant, own in zip(contestants, times, strict=True)]


def _figure(contestant: Contestant, own: Sequence[float], first: Sequence[float]) -> Figure:
    added = [ours - theirs for ours, theirs in zip(own, first, strict=True)]
    ratios = [ours / theirs for ours, theirs in zip(own, first, strict=True)]
    lower, _, upper = quantiles(added, n=4) if len(added) > 1 else (added[0], added[0], added[0])
    return Figure(
        name=contestant.name,
        in_flight=contestant.in_flight,
        median_us=round(median(own), 3),
        added_us=round(median(added), 3),
        added_quartiles_us=(round(lower, 3), round(upper, 3)),
        ratio=round(median(ratios), 3),
    )


def describe_run(module: str, *, packages: Sequence[str]) -> dict[str, object]:
    """Return what it takes to run this again and to judge its figures: command, machine, versions."""
    return {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "machine": {
            "platform": platform.platform(),
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {package: found for package in packages if (found := _version(package)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
