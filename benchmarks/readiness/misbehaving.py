"""What readiness says of a dependency that misbehaves, and when: zdlife beside the libraries that check by request.

    python -m benchmarks dependency [--json]

One small application for each library, each served by uvicorn in one process, depends on the same Redis: a server of
the benchmark's own that answers PING, or misbehaves on command, and counts. All of them are probed ten times a second
from another process, in one run of five minutes and a half. zdlife takes part twice: with its defaults, a check every
five seconds, and with one every second.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from time import monotonic, sleep
from typing import Any

from benchmarks.paired import describe_run
from benchmarks.readiness.dependency import Behaviour, Counted, Dependency, dependency
from benchmarks.readiness.figures import Latency, busy_share, latency
from benchmarks.readiness.prober import Probe, every
from benchmarks.readiness.serving import Served, free_port, uvicorn
from benchmarks.readiness.timeline import Truth, answered_after, flips, wrong_share

PACKAGES = ("zdlife", "fast-healthchecks", "django-health-check", "redis", "uvicorn", "fastapi", "django")
APPLICATIONS = "benchmarks.readiness.watched"
PROBES_EVERY = 0.1
LATE = 1.0
"""Seconds after which a kubelet that was told nothing else takes a probe for failed."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """A library, the package it is, the application that uses it, and where that answers."""

    name: str
    package: str
    application: str
    path: str
    interval: float = 5.0


WATCHERS = (
    Watcher("zdlife", "zdlife", "with_zdlife", "/readyz"),
    Watcher("zdlife, every 1 s", "zdlife", "with_zdlife", "/readyz", interval=1.0),
    Watcher("fast-healthchecks", "fast_healthchecks", "with_fast_healthchecks", "/health/readiness"),
    Watcher("django-health-check", "health_check", "with_django_health_check", "/health/"),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """What the dependency does in turn, for how long each, and how long it is up again afterwards."""

    name: str
    turns: tuple[tuple[Behaviour, float], ...]
    recovery: float


STAGES = (
    Stage("answers", ((Behaviour.UP, 15),), 0),
    Stage("hangs", ((Behaviour.HANG, 22),), 18),
    Stage("refuses", ((Behaviour.REFUSE, 22),), 18),
    Stage("answers after 0.5 s", ((Behaviour.SLOW, 22),), 14),
    Stage("answers after 3 s", ((Behaviour.SLOWER, 22),), 18),
    Stage("answers garbage", ((Behaviour.GARBAGE, 22),), 18),
    Stage("loses one connection in ten", ((Behaviour.LOSSY, 25),), 14),
    Stage("refuses for 5 s of every 10 s", ((Behaviour.REFUSE, 5), (Behaviour.UP, 5)) * 4, 14),
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stage as it was: when it began, when the dependency was up again, when it ended, and what came to each port."""

    stage: Stage
    began: float
    up_again: float
    ended: float
    counted: Sequence[Counted]


@dataclass(frozen=True, slots=True)
class Row:
    """What one watcher did in one stage. Times are seconds; None where it did not come to that.

    `latency`, `late_share` and what came to the dependency are of the stage without its recovery; the rest includes it.
    A refused connection does not reach the dependency, so `connections_per_minute` is None if that happened.
    """

    stage: str
    watcher: str
    red_after: float | None
    green_after: float | None
    flips: int
    true_flips: int
    false_flips: int
    wrong_share: float
    latency: Latency
    late_share: float
    commands_per_minute: int
    connections_per_minute: int | None


def run() -> list[Row]:
    """Return a row for each stage and watcher."""
    truth = Truth()
    watchers = [watcher for watcher in WATCHERS if find_spec(watcher.package)]
    with ExitStack() as stack:
        redis = [free_port() for _ in watchers]
        commanded = stack.enter_context(dependency(redis))
        targets = []
        for watcher, behind in zip(watchers, redis, strict=True):
            port = free_port()
            command = [*uvicorn(f"{APPLICATIONS}:{watcher.application}", port), "--factory"]
            environment = {"BENCHMARK_REDIS_PORT": str(behind), "BENCHMARK_INTERVAL": str(watcher.interval)}
            stack.enter_context(Served(command, port=port, path=watcher.path, environment=environment))
            targets.append((port, watcher.path))
        with every(PROBES_EVERY, targets) as probes:
            spans = [play(stage, commanded, truth) for stage in STAGES]
    return [
        row
        for number, watcher in enumerate(watchers)
        for row in rows(watcher, number, [probe for probe in probes if probe.target == number], spans, truth)
    ]


def play(stage: Stage, commanded: Dependency, truth: Truth) -> Span:
    """Have the dependency go through the stage, add that to the truth, and return how it went."""
    moments = []
    for behaviour, seconds in (*stage.turns, (Behaviour.UP, stage.recovery)):
        moments.append(commanded.behave(behaviour))
        truth.changes.append((moments[-1][0], behaviour))
        sleep(seconds)
    (began, before), (up_again, after) = moments[0], moments[-1]
    counted = [late - early for late, early in zip(after, before, strict=True)]
    return Span(stage, began, up_again, monotonic(), counted)


def rows(watcher: Watcher, number: int, probes: Sequence[Probe], spans: Sequence[Span], truth: Truth) -> Iterator[Row]:
    """Yield what the watcher of that number did in each stage, from all its probes in the order in which they began."""
    flipped = flips(probes, truth)
    for span in spans:
        until_then = [probe for probe in probes if probe.began < span.ended]
        within = [probe for probe in until_then if probe.began >= span.began]
        until_up = [probe for probe in until_then if probe.began < span.up_again]
        during = [probe for probe in until_up if probe.began >= span.began]
        here = [flip for flip in flipped if span.began <= flip.probe.began < span.ended]
        minutes = (span.up_again - span.began) / 60
        refused = any(behaviour is Behaviour.REFUSE for behaviour, _ in span.stage.turns)
        yield Row(
            stage=span.stage.name,
            watcher=watcher.name,
            red_after=answered_after(until_up, green=False, since=span.began),
            green_after=answered_after(until_then, green=True, since=span.up_again),
            flips=len(here),
            true_flips=truth.flips(since=span.began, until=span.ended),
            false_flips=sum(flip.false for flip in here),
            wrong_share=wrong_share(within, truth),
            latency=latency(during),
            late_share=sum(probe.latency > LATE for probe in during) / len(during),
            commands_per_minute=round(span.counted[number].commands / minutes),
            connections_per_minute=None if refused else round(span.counted[number].connections / minutes),
        )


def show(found: Sequence[Row], about: Mapping[str, Any]) -> None:
    """Print it for people."""
    print(f"$ {about['command']}")
    print(", ".join(f"{name} {value}" for name, value in about["machine"].items()))
    print(", ".join(f"{name} {value}" for name, value in about["versions"].items()))
    print(f"{about['busy before']:.0%} of the processors were in use before it began")
    for stage in STAGES:
        print(f"\n{stage.name:<31}{'red':>8}{'green':>8}{'flips':>10}{'false':>6}{'wrong':>7}", end="")
        print(f"{'p50':>9}{'p99':>10}{'max':>10}   {'>1 s':>7}{'commands':>10}{'connections':>13}")
        for row in (row for row in found if row.stage == stage.name):
            print(f"  {row.watcher:<29}{_seconds(row.red_after)}{_seconds(row.green_after)}", end="")
            print(f"{f'{row.flips} of {row.true_flips}':>10}{row.false_flips:>6}{row.wrong_share:>7.0%}", end="")
            print(f"{row.latency}{row.late_share:>7.0%}{row.commands_per_minute:>10,}", end="")
            print(f"{'–' if row.connections_per_minute is None else format(row.connections_per_minute, ','):>13}")


def _seconds(value: float | None) -> str:
    return f"{'–':>8}" if value is None else f"{value:>6.1f} s"


def main() -> int:
    """Run the command line; 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks dependency", description="What readiness says of a dependency that misbehaves."
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    options = parser.parse_args(sys.argv[2:])
    about = {**describe_run("benchmarks", packages=PACKAGES), "busy before": round(busy_share(2), 2)}
    found = run()
    if options.json:
        print(json.dumps({"benchmark": "dependency", **about, "rows": [asdict(row) for row in found]}))
    else:
        show(found, about)
    return 0
