"""Put together what a person is told of an instance, as values to be shown; nothing of HTML, nothing of terminals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zdlife.probes.rows import (
    ARRIVING,
    DEPARTING,
    VERDICTS,
    CheckRow,
    Flights,
    Mark,
    WarmerRow,
    Workers,
    check_row,
    flights_of,
    share,
    warmer_row,
    workers_of,
)
from zdlife.probes.wording import (
    ARRIVING_PHASES,
    LEAVING,
    Facts,
    because,
    clean,
    clock,
    count,
    duration,
    headline,
    warmers_of,
)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a reader must be told, and since when it holds."""

    mark: Mark
    text: str
    since: str


@dataclass(frozen=True, slots=True)
class Span:
    """One phase the instance has been in. `weight` grows with its length, slowly: it would be lost beside a day."""

    phase: str
    began: str
    lasted: str
    weight: float
    present: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the grace period."""

    phase: str
    seconds: str
    share: float


@dataclass(frozen=True, slots=True)
class Budget:
    """The times of leaving beside the grace period; shares are of the longer of the two.

    `elapsed` is how much is over, once the instance was told to stop.
    """

    mark: Mark
    sentence: str
    parts: list[Part]
    grace: float
    elapsed: float | None
    misfits: list[str]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that is shown."""

    mark: Mark
    headline: str
    lead: str
    reasons: list[Remark]
    phase: str
    service: str
    version: str
    instance: str
    about: list[str]
    asked: str
    phases: list[Span]
    workers: Workers
    flights: Flights
    checks: list[CheckRow]
    warmers: list[WarmerRow]
    budget: Budget


def overview(facts: Facts) -> Overview:
    """Return what is shown of these facts. Nothing in it can steer a terminal; HTML is for the page to escape.

    Raises:
        KeyError, TypeError, ValueError: they are not the facts of an instance, or not as this release knows them.
    """
    now = facts["at"]
    verdict = VERDICTS[facts["status"]]
    if facts["status"] == "fail" and facts["phase"] != "ready":
        verdict = DEPARTING if facts["phase"] in LEAVING else ARRIVING
    return Overview(
        mark=verdict,
        headline=headline(facts),
        lead=_lead(facts),
        reasons=[_remark(reason, facts) for reason in facts["reasons"]],
        phase=clean(facts["phase"]),
        service=clean(facts["service"]),
        version=clean(facts["version"]),
        instance=clean(facts["instance"]),
        about=[
            clean(facts["environment"]),
            clean(facts["server"]),
            count(facts["requests"], one="request", many="requests"),
        ],
        asked=f"{clock(now, now=now)} UTC, answered by worker {facts['pid']}, zdlife {clean(facts['zdlife'])}",
        phases=_phases(facts["timeline"], now),
        workers=workers_of(facts),
        flights=flights_of(facts),
        checks=[check_row(check, now=now) for check in facts["checks"]],
        warmers=[warmer_row(warmer) for warmer in facts["warmers"]],
        budget=_budget(facts),
    )


def _lead(facts: Facts) -> str:
    now = facts["at"]
    begun = [reason["since"] for reason in facts["reasons"]] or [span["at"] for span in facts["timeline"][-1:]]
    asked = _asked(facts)
    since = min(begun, default=now) if asked is None else asked
    return f"for {duration(now - since)}, since {clock(since, now=now)} UTC"


def _asked(facts: Facts) -> float | None:
    """Return when the instance was told to stop, or None before that."""
    return next((span["at"] for span in facts["timeline"] if span["phase"] in LEAVING), None)


def _remark(reason: Mapping[str, Any], facts: Facts) -> Remark:
    word = reason["reason"]
    kinds = [check["kind"] for check in facts["checks"] if word == f"check:{check['name']}"]
    failed = any(warmer["status"] == "failed" for warmer in warmers_of(word, facts))
    warms = word.startswith(("warmer:", "warmth:")) and not failed
    harmless = facts["status"] == "warn" or kinds == ["degrades"] or warms
    mark = VERDICTS["warn" if harmless else "fail"]
    if word in LEAVING:
        mark = DEPARTING
    elif word in ARRIVING_PHASES or (word == "workers" and facts["phase"] in ARRIVING_PHASES):
        mark = ARRIVING
    text = because(reason, facts)
    return Remark(
        mark=mark,
        text=text[:1].upper() + text[1:],
        since=f"for {duration(facts['at'] - reason['since'])}",
    )


def _phases(timeline: Sequence[Mapping[str, Any]], now: float) -> list[Span]:
    return [
        Span(
            phase=clean(span["phase"]),
            began=clock(span["at"], now=now),
            lasted=duration(span["seconds"]),
            weight=round(1 + math.log1p(max(0.0, span["seconds"])), 2),
            present=place == len(timeline) - 1,
        )
        for place, span in enumerate(timeline)
    ]


def _budget(facts: Facts) -> Budget:
    budget = facts["budget"]
    grace, needed = budget["grace"], budget["needed"]
    whole = max(grace, needed)
    settle = needed - budget["drain"] - budget["cleanup"]
    times = (("settling", settle), ("draining", budget["drain"]), ("stopping", budget["cleanup"]))
    spare = f"{duration(grace - needed)} to spare" if grace >= needed else f"{duration(needed - grace)} too much"
    sentence = f"takes at most {duration(needed)} of {duration(grace)}, {spare}" if grace else "no worker has said yet"
    asked = _asked(facts)
    elapsed = None
    if asked is not None:
        gone = facts["at"] - asked
        elapsed = share(gone, of=whole)
        left = f"SIGKILL in {duration(grace - gone)}" if grace > gone else "the grace period is over"
        sentence = f"told to stop {duration(gone)} ago; {left}"
    return Budget(
        mark=VERDICTS["pass" if budget["fits"] else "warn"],
        sentence=sentence,
        parts=[Part(phase, duration(seconds), share(seconds, of=whole)) for phase, seconds in times if seconds > 0],
        grace=share(grace, of=whole),
        elapsed=elapsed,
        misfits=[clean(misfit, longest=400) for misfit in budget["misfits"]],
    )
