"""How long a readiness probe takes while the instance is busy, and what the management port's quick answers cost.

    python -m benchmarks probes [--probes 1000] [--rounds 3] [--json] [--check]

Two servers are probed from another process, each time on a new connection: gunicorn with four sync workers, idle and
with all of them blocked for ten seconds; and uvicorn, idle and with an event loop that has nothing but requests which
compute for 20 to 50 ms each, sent by two clients back to back. The last is measured on the management port, on the
port of the application for comparison, and with the interpreter's own switch interval instead of zdlife's.

Each round starts every server anew; a line is made of the probes of all rounds. On the port of the application, where
each probe waits for its turn among the requests that compute, one situation's probes are spread over the rounds.
Before each situation the machine is watched for half a second: what others do on it shows in the last column.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from math import ceil
from statistics import median
from typing import Any

from benchmarks.paired import Figure, describe_run
from benchmarks.readiness.figures import Latency, busy_share, latency
from benchmarks.readiness.interpreter import measure_intervals
from benchmarks.readiness.occupation import blocked, computing
from benchmarks.readiness.prober import Probe, one_by_one
from benchmarks.readiness.serving import Served, free_port, gunicorn_sync, uvicorn

PACKAGES = ("zdlife", "gunicorn", "uvicorn", "uvloop", "httptools", "h11")
APPLICATION = "benchmarks.readiness.application"
WORKERS = 4
BLOCKED_FOR = 10.0
CLIENTS = 2
LIMIT_MS = 5.0
"""What 99 of 100 probes on the management port may take."""
BLOCKED, COMPUTING, IDLE = "all workers blocked", "loop computing", "idle"
MANAGEMENT = "management"
PYTHONS_INTERVAL = "uvicorn, 5 ms interval"


@dataclass(frozen=True, slots=True)
class Situation:
    """A server, what it was doing, and which of its ports was probed."""

    server: str
    doing: str
    port: str

    @property
    def limited(self) -> bool:
        """Whether the limit is for this one."""
        return self.port == MANAGEMENT and self.server != PYTHONS_INTERVAL


@dataclass(frozen=True, slots=True)
class Measured:
    """The probes of one situation and round, the share of the machine that was in use before, and the server's own."""

    situation: Situation
    probes: list[Probe]
    busy_before: float
    server_busy: float


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one situation in all rounds."""

    situation: Situation
    latency: Latency
    busy_before: float
    server_busy: float

    @property
    def met(self) -> bool:
        return self.latency.lost == 0 and self.latency.p99_ms < LIMIT_MS


def run(*, probes: int, rounds: int) -> list[Line]:
    """Return a line for each situation."""
    found: dict[Situation, list[Measured]] = {}
    for _ in range(rounds):
        of_uvicorn = uvicorn_round(probes, slow_probes=ceil(probes / rounds))
        for measured in (*gunicorn_round(probes), *of_uvicorn, *pythons_interval_round(probes)):
            found.setdefault(measured.situation, []).append(measured)
    return [
        Line(
            situation=situation,
            latency=latency([probe for each in several for probe in each.probes]),
            busy_before=round(median(each.busy_before for each in several), 2),
            server_busy=round(median(each.server_busy for each in several), 2),
        )
        for situation, several in found.items()
    ]


def gunicorn_round(probes: int) -> Iterator[Measured]:
    """Yield what gunicorn's workers do: idle, and blocked, when nobody answers on the application's port."""
    name, port, management = f"gunicorn, {WORKERS} sync workers", free_port(), free_port()
    command = gunicorn_sync(f"{APPLICATION}:wsgi", port, workers=WORKERS)
    with served(command, management) as server:
        yield measure(server, Situation(name, IDLE, "application"), port, probes)
        yield measure(server, Situation(name, IDLE, MANAGEMENT), management, probes)

        def block() -> AbstractContextManager[None]:
            return blocked(port, management, workers=WORKERS, seconds=BLOCKED_FOR)

        yield measure(server, Situation(name, BLOCKED, MANAGEMENT), management, probes, occupation=block)


def uvicorn_round(probes: int, *, slow_probes: int) -> Iterator[Measured]:
    """Yield what uvicorn does: idle and computing, on both ports; the slow ones come where a probe waits its turn."""
    port, management = free_port(), free_port()

    def compute() -> AbstractContextManager[None]:
        return computing(port, clients=CLIENTS)

    with served(uvicorn(f"{APPLICATION}:asgi", port), management) as server:
        yield measure(server, Situation("uvicorn", IDLE, "application"), port, probes)
        yield measure(server, Situation("uvicorn", IDLE, MANAGEMENT), management, probes)
        yield measure(server, Situation("uvicorn", COMPUTING, "application"), port, slow_probes, occupation=compute)
        yield measure(server, Situation("uvicorn", COMPUTING, MANAGEMENT), management, probes, occupation=compute)


def pythons_interval_round(probes: int) -> Iterator[Measured]:
    """Yield what uvicorn does on its management port where the switch interval is left as Python has it."""
    port, management = free_port(), free_port()
    environment = {"ZDLIFE_SWITCH_INTERVAL": "0.005"}
    with served(uvicorn(f"{APPLICATION}:asgi", port), management, environment) as server:
        yield measure(
            server,
            Situation(PYTHONS_INTERVAL, COMPUTING, MANAGEMENT),
            management,
            probes,
            occupation=lambda: computing(port, clients=CLIENTS),
        )


def served(command: list[str], management: int, environment: dict[str, str] | None = None) -> Served:
    """Return the server, ready once it is entered, with a management port."""
    variables = {"ZDLIFE_MANAGEMENT_PORT": str(management), **(environment or {})}
    return Served(command, port=management, path="/readyz", environment=variables)


def measure(
    server: Served,
    situation: Situation,
    port: int,
    probes: int,
    *,
    occupation: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Measured:
    """Return what came of so many probes while the server was occupied with that."""
    busy_before = busy_share()
    with occupation():
        used = server.processor_seconds
        found = one_by_one(probes, port, "/readyz")
        elapsed = found[-1].ended - found[0].began
        used = server.processor_seconds - used
    return Measured(situation, found, busy_before, used / elapsed)


def show(lines: list[Line], costs: dict[str, list[Figure]], about: dict[str, Any]) -> None:
    """Print it for people."""
    print(f"$ {about['command']}")
    print(", ".join(f"{name} {value}" for name, value in about["machine"].items()))
    print(", ".join(f"{name} {value}" for name, value in about["versions"].items()))
    print(f"\n{'/readyz of':<26}{'doing':<21}{'port':<13}{'probes':>6}{'lost':>6}", end="")
    print(f"{'p50':>9}{'p99':>10}{'max':>10}   {'others':>7}")
    for line in lines:
        said = line.situation
        print(f"{said.server:<26}{said.doing:<21}{said.port:<13}{line.latency.probes:>6,}", end="")
        print(f"{line.latency.lost:>6}{line.latency}{line.busy_before:>7.0%}")
    print()
    for line in lines:
        if line.situation.doing == COMPUTING:
            print(f"{line.situation.server}, probed on the {line.situation.port} port: ", end="")
            print(f"its process used {line.server_busy:.0%} of a processor meanwhile")
    print(f"\nthe switch interval, for threads that all compute{'median':>14}{'half of the rounds':>26}{'ratio':>8}")
    for name, figures in costs.items():
        print(f"  {name}")
        for figure in figures:
            lower, upper = figure.added_quartiles_us
            tail = "" if figure is figures[0] else f"{f'{lower:+.2f} to {upper:+.2f}':>23} us{figure.ratio:>7.3f}x"
            print(f"    {figure.name:<45}{figure.median_us:>10.1f} us{tail}")
    print()
    for line in lines:
        if line.situation.limited:
            verdict = "met" if line.met else "MISSED"
            print(f"{verdict}: {line.situation.server}, {line.situation.doing}: ", end="")
            print(f"p99 {line.latency.p99_ms:.2f} ms of {LIMIT_MS:g} ms, {line.latency.lost} lost")


def main() -> int:
    """Run the command line; 0, or with --check 1 when a limit is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks probes", description="How long a probe takes.")
    parser.add_argument("--probes", type=int, default=1000, help="probes of one situation in one round (1000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is started and probed (3)")
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a limit is missed")
    options = parser.parse_args(sys.argv[2:])
    lines = run(probes=max(1, options.probes), rounds=max(1, options.rounds))
    costs = measure_intervals(rounds=max(2, 7 * options.rounds), requests=160)
    about = {**describe_run("benchmarks", packages=PACKAGES), "load average": os.getloadavg()}
    if options.json:
        figures = {name: [asdict(figure) for figure in figures] for name, figures in costs.items()}
        measured = [asdict(line) | {"met": line.met} for line in lines]
        print(json.dumps({"benchmark": "probes", **about, "lines": measured, "switch_interval": figures}))
    else:
        show(lines, costs, about)
    return int(options.check and not all(line.met for line in lines if line.situation.limited))
