"""What the two middlewares cost for one request, in process, against the bare application and against others.

    python -m benchmarks [--rounds 201] [--requests 100] [--json] [--check]

Each interface has two applications: the smallest there is, where every microsecond shows, and a small one of a
framework. Around each stand in turn nothing, zdlife (in a process that is alone, and in one of several workers, which
also writes the page they share), Starlette's BaseHTTPMiddleware doing nothing, and OpenTelemetry's instrumentation
recording metrics in the HTTP convention. zdlife is measured with 1, 100 and 10,000 requests in flight, all of them held
by the one Lifecycle.

No server, no socket: a request is a call of the application and the sending of its response into nowhere. Times are the
processor's, in the one thread that does it all.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from benchmarks.around_asgi import asgi_contestants, smallest_asgi, starlette_app
from benchmarks.around_wsgi import flask_app, smallest_wsgi, wsgi_contestants
from benchmarks.paired import Figure, describe_run, measure
from benchmarks.surroundings import ZDLIFE

LEVELS = (1, 100, 10_000)
LIMITS_US = {"asgi": 3.0, "wsgi": 5.0}
PACKAGES = (
    "zdlife",
    "starlette",
    "flask",
    "anyio",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-asgi",
    "opentelemetry-instrumentation-wsgi",
)


def run(*, rounds: int, requests: int) -> dict[str, list[Figure]]:
    """Return the figures by application."""
    found: dict[str, list[Figure]] = {}
    with asgi_contestants(smallest_asgi, levels=LEVELS) as contestants:
        found["asgi: smallest"] = measure(contestants, rounds=rounds, requests=requests)
    if find_spec("starlette"):
        with asgi_contestants(starlette_app(), levels=(1,)) as contestants:
            found["asgi: Starlette"] = measure(contestants, rounds=rounds, requests=requests)
    with wsgi_contestants(smallest_wsgi, levels=LEVELS) as contestants:
        found["wsgi: smallest"] = measure(contestants, rounds=rounds, requests=requests)
    if find_spec("flask"):
        with wsgi_contestants(flask_app(), levels=(1,)) as contestants:
            found["wsgi: Flask"] = measure(contestants, rounds=rounds, requests=requests)
    return found


def judge(found: dict[str, list[Figure]]) -> dict[str, dict[str, Any]]:
    """Return for each interface the most that zdlife adds to a request, and whether that keeps to its limit."""
    verdicts: dict[str, dict[str, Any]] = {}
    for interface, limit_us in LIMITS_US.items():
        groups = [figures for application, figures in found.items() if application.startswith(interface)]
        worst_us = max(figure.added_us for figures in groups for figure in figures if figure.name in ZDLIFE)
        verdicts[interface] = {"limit_us": limit_us, "worst_us": worst_us, "met": worst_us <= limit_us}
    return verdicts


def show(found: dict[str, list[Figure]], verdicts: dict[str, dict[str, Any]], about: dict[str, Any]) -> None:
    """Print it for people."""
    print(f"$ {about['command']}")
    print(", ".join(f"{name} {value}" for name, value in about["machine"].items()))
    print(", ".join(f"{name} {value}" for name, value in about["versions"].items()))
    for application, figures in found.items():
        print(f"\n{application:<32}{'in flight':>10}{'median':>11}{'added':>11}{'half of the rounds':>22}{'ratio':>9}")
        for figure in figures:
            lower, upper = figure.added_quartiles_us
            line = f"  {figure.name:<30}{figure.in_flight:>10,}{figure.median_us:>8.2f} us"
            if figure.name != "bare":
                line += f"{figure.added_us:>+8.2f} us{f'{lower:+.2f} to {upper:+.2f}':>22}{figure.ratio:>8.2f}x"
            print(line)
    print()
    for interface, verdict in verdicts.items():
        said = "met" if verdict["met"] else "MISSED"
        worst = f"zdlife adds {verdict['worst_us']:.2f} us at most"
        print(f"{interface}: {said}: {worst}, and may add {verdict['limit_us']:g} us")


def main() -> int:
    """Run the command line; 0, or with --check 1 when a limit is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the middlewares cost.")
    parser.add_argument("--rounds", type=int, default=201, help="how often each contestant has its turn (201)")
    parser.add_argument("--requests", type=int, default=100, help="requests in one turn (100)")
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a limit is missed")
    options = parser.parse_args()
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"  # read once, when the instrumentation is first imported
    found = run(rounds=max(2, options.rounds), requests=max(1, options.requests))
    verdicts = judge(found)
    about = describe_run("benchmarks", packages=PACKAGES)
    if options.json:
        figures = {name: [asdict(figure) for figure in group] for name, group in found.items()}
        rounds = {"rounds": options.rounds, "requests": options.requests}
        print(json.dumps({"benchmark": "middleware", **about, **rounds, "figures": figures, "limits": verdicts}))
    else:
        show(found, verdicts, about)
    return int(options.check and not all(verdict["met"] for verdict in verdicts.values()))
