"""What readiness said of a dependency, held against what was true of it. Pure: probes and times go in.

A dependency is *able* while it answers each command rightly within two seconds, which is what every library was told.

A *flip* is an answer of another colour than the answer before, in the order in which the probes began. It is *false* if
the dependency was never in the state that it claims: not since the answer of the flip before, nor while it was asked.

A probe is *wrong* if the dependency was in the other state for as long as the probe took.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from benchmarks.readiness.dependency import Behaviour
from benchmarks.readiness.prober import Probe

ABLE = frozenset({Behaviour.UP, Behaviour.SLOW, Behaviour.LOSSY})


MOMENT = 0.05
"""Seconds before a change in which either is true: it is told once it has reached all connections."""


@dataclass(slots=True)
class Truth:
    """What the dependency has done: since when it did what, in order."""

    changes: list[tuple[float, Behaviour]] = field(default_factory=list)

    def held(self, *, able: bool, since: float, until: float) -> bool:
        """Return whether the dependency was ever able, or unable, between two moments."""
        ends = [*(at for at, _ in self.changes[1:]), inf]
        return any(
            (behaviour in ABLE) is able and began - MOMENT <= until and ended >= since
            for (began, behaviour), ended in zip(self.changes, ends, strict=True)
        )

    def flips(self, *, since: float, until: float) -> int:
        """Return how often it became able or unable in between."""
        return sum(
            since <= at < until and (before in ABLE) is not (after in ABLE)
            for (_, before), (at, after) in pairwise(self.changes)
        )


@dataclass(frozen=True, slots=True)
class Flip:
    """An answer of the other colour, and whether anything had happened."""

    probe: Probe
    false: bool


def flips(probes: Sequence[Probe], truth: Truth) -> list[Flip]:
    """Return the flips of one watcher, whose first answer was green; the probes in the order in which they began."""
    found: list[Flip] = []
    colour, since = True, probes[0].began
    for probe in probes:
        if probe.green is not colour:
            false = not truth.held(able=probe.green, since=min(since, probe.began), until=probe.ended)
            found.append(Flip(probe, false))
            colour, since = probe.green, probe.ended
    return found


def wrong_share(probes: Sequence[Probe], truth: Truth) -> float:
    """Return the share of some probes, at least one, that were wrong."""
    wrong = [probe for probe in probes if not truth.held(able=probe.green, since=probe.began, until=probe.ended)]
    return len(wrong) / len(probes)


def answered_after(probes: Sequence[Probe], *, green: bool, since: float) -> float | None:
    """Return how long after a moment the first answer of a colour came; None if the one before had it, or none came."""
    before = max((probe for probe in probes if probe.ended < since), key=lambda probe: probe.ended, default=None)
    if before is not None and before.green is green:
        return None
    return min((probe.ended - since for probe in probes if probe.ended >= since and probe.green is green), default=None)
