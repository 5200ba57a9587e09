"""Facts of instances, made up: what `GET /status` would answer in situations that a person wants to understand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

NOW = 1764000000.1
"""24 November 2025, 16:00:00 UTC."""

Facts = dict[str, Any]


def worker(pid: int, **said: Any) -> Facts:
    """Return one worker, ready unless `said` says otherwise."""
    usual = {
        "pid": pid,
        "phase": "ready",
        "ready": True,
        "version": "2026.11.2",
        "requests": 1234 + pid % 97,
        "in_flight": 0,
        "oldest": None,
        "beat_age": 0.1,
        "stuck": None,
    }
    return usual | said


def history(*statuses: str, every: float = 5.0, latency: float = 0.003) -> list[Facts]:
    """Return the runs of a check, the last one now; their latency wanders."""
    return [
        {
            "at": NOW - (len(statuses) - 1 - place) * every - 1.0,
            "status": status,
            "latency": latency * (1.0 + 0.7 * math.sin(place * 1.7)) if status != "fail" else 2.0,
        }
        for place, status in enumerate(statuses)
    ]


def said(pid: int, status: str = "pass", *runs: str, why: str = "", since: float = 7200.0, **more: Any) -> Facts:
    """Return what one worker says of a check, since `since` seconds ago."""
    latency = more.pop("latency", 0.003)
    every = history(*(runs or ("pass",) * 20), latency=latency) if status != "unknown" else []
    usual = {
        "pid": pid,
        "status": status,
        "stale": False,
        "since": NOW - since,
        "at": every[-1]["at"] if every else None,
        "latency": every[-1]["latency"] if every else None,
        "why": why,
        "abandoned": 0,
        "history": every,
    }
    return usual | more


def check(name: str, workers: Sequence[Facts], *, status: str = "pass", kind: str = "required") -> Facts:
    """Return one check."""
    return {"name": name, "kind": kind, "interval": 5.0, "timeout": 2.0, "status": status, "workers": list(workers)}


def warmth(pid: int, status: str = "done", **said: Any) -> Facts:
    """Return how far a warmer is in one worker."""
    usual = {
        "pid": pid,
        "status": status,
        "done": None,
        "total": None,
        "seconds": None if status in ("waiting", "elsewhere") else 1.2,
        "attempts": 0 if status in ("waiting", "elsewhere") else 1,
        "why": "",
    }
    return usual | said


def warmer(name: str, workers: Sequence[Facts], *, per: str = "worker", kind: str = "warmer") -> Facts:
    """Return one warmer, or one measured hit rate."""
    return {"name": name, "kind": kind, "per": per, "deadline": 20.0, "workers": list(workers)}


def timeline(**seconds: float) -> list[Facts]:
    """Return the phases in this order and of these lengths, the last one until now."""
    spans, ends = [], NOW
    for phase, length in reversed(seconds.items()):
        ends -= length
        spans.append({"phase": phase, "at": ends, "seconds": length})
    return spans[::-1]


def reason(word: str, *workers: int, since: float = 40.0) -> Facts:
    """Return one reason."""
    return {"reason": word, "since": NOW - since, "workers": list(workers)}


def flight(worker: int, age: float, route: str | None = "/orders/{id}", **said: Any) -> Facts:
    """Return something in flight."""
    usual = {
        "worker": worker,
        "kind": "request",
        "method": "GET",
        "route": route,
        "id": f"r-{worker}-{age:g}",
        "age": age,
    }
    return usual | said


def in_flight(*each: Facts) -> Facts:
    """Return what is in flight, oldest first."""
    return {"count": len(each), "each": sorted(each, key=lambda one: -one["age"])}


def status(**changes: Any) -> Facts:
    """Return the facts of an instance with three workers that is ready, with these changes."""
    pids = (4242, 4243, 4244)
    usual = {
        "zdlife": "0.1.0",
        "kind": "status",
        "at": NOW,
        "service": "shop",
        "version": "2026.11.2",
        "instance": "shop-7",
        "environment": "production",
        "server": "gunicorn sync",
        "pid": 4242,
        "phase": "ready",
        "status": "pass",
        "ready": True,
        "reasons": [],
        "timeline": timeline(starting=1.2, warming=3.4, ready=8042.0),
        "budget": {
            "grace": 30.0,
            "settle": 5.0,
            "settle_max": 10.0,
            "drain": 15.0,
            "cleanup": 3.0,
            "needed": 28.0,
            "fits": True,
            "misfits": [],
        },
        "workers": {
            "expected": 3,
            "needed": 3,
            "ready": 3,
            "lost": 0,
            "each": [
                worker(4242, in_flight=2, oldest=1.3),
                worker(4243),
                worker(4244, in_flight=1, oldest=0.02, beat_age=0.4),
            ],
        },
        "requests": 5678,
        "in_flight": in_flight(
            flight(4242, 1.3, "/slow", id="r-1"),
            flight(4242, 0.31, "/checkout", method="POST"),
            flight(4244, 0.02),
        ),
        "checks": [
            check("orders-db", [said(pid) for pid in pids]),
            check("sessions", [said(pid, latency=0.0004) for pid in pids], kind="shared"),
            check("search", [said(pid, latency=0.21) for pid in pids], kind="degrades"),
        ],
        "warmers": [
            warmer("prices", [warmth(pid, done=1200, total=1200, seconds=2.1 + pid % 3) for pid in pids]),
            warmer(
                "templates",
                [warmth(4242, seconds=0.4), warmth(4243, "elsewhere"), warmth(4244, "elsewhere")],
                per="instance",
            ),
        ],
    }
    return usual | changes


def ready() -> Facts:
    """Return an instance in which all is well."""
    return status()


def degraded() -> Facts:
    """Return one that serves although its search is down, and which has lost a worker before."""
    usual = status()
    down = ("pass",) * 11 + ("fail",) * 9
    why = "timed out after 2 s"
    usual["workers"] |= {"lost": 1}
    usual["checks"][2] = check(
        "search",
        [said(pid, "fail", *down, why=why, since=40.0) for pid in (4242, 4243)] + [said(4244, latency=0.4)],
        status="fail",
        kind="degrades",
    )
    usual["checks"][1]["workers"][0] |= {
        "status": "warn",
        "why": "maxmemory-policy is allkeys-lru: it may evict sessions",
    }
    usual["checks"][1]["status"] = "warn"
    reasons = [reason("check:sessions", 4242, since=8042.0), reason("check:search", 4242, 4243)]
    return usual | {"status": "warn", "reasons": reasons}


def unready() -> Facts:
    """Return one that is out because its database refuses, with a worker that is stuck besides."""
    usual = status()
    pids = (4242, 4243, 4244)
    why = "connection refused by 10.1.2.3:5432"
    runs = ("pass",) * 8 + ("fail", "pass", "pass") + ("fail",) * 9
    usual["checks"][0] = check(
        "orders-db",
        [said(pid, "fail", *runs, why=why, since=33.0 + place, abandoned=place) for place, pid in enumerate(pids)],
        status="fail",
    )
    usual["workers"] |= {
        "ready": 0,
        "each": [
            worker(4242, ready=False),
            worker(4243, ready=False, in_flight=3, oldest=71.0, stuck=64.0, beat_age=64.0),
            worker(4244, ready=False, version="2026.11.1"),
        ],
    }
    flights = [
        flight(4243, 71.0, "/reports/yearly"),
        flight(4243, 64.2),
        flight(4243, 12.0, kind="websocket", route="/live", id=None),
    ]
    usual["budget"] |= {
        "settle_max": 20.0,
        "needed": 38.0,
        "fits": False,
        "misfits": [
            "settle, drain and cleanup may take 38 s of a grace period of 30 s. Lower ZDLIFE_SETTLE_MAX to 12."
        ],
    }
    reasons = [reason("workers", since=31.0), reason("check:orders-db", *pids, since=33.0)]
    return usual | {"status": "fail", "ready": False, "reasons": reasons, "in_flight": in_flight(*flights)}


def warming() -> Facts:
    """Return one that has just been started and fills its caches."""
    usual = status()
    for one in usual["workers"]["each"]:
        one |= {"phase": "warming", "ready": False, "requests": 0, "in_flight": 0, "oldest": None}
    return usual | {
        "phase": "warming",
        "status": "fail",
        "ready": False,
        "requests": 0,
        "workers": usual["workers"] | {"ready": 0},
        "in_flight": in_flight(),
        "timeline": timeline(starting=1.2, warming=6.8),
        "reasons": [
            reason("warming", 4242, 4243, 4244, since=6.8),
            reason("warmer:prices", 4242, 4243, 4244, since=6.8),
        ],
        "checks": [
            check(
                "orders-db",
                [said(4242, "pass", "pass", since=6.0), said(4243, "unknown"), said(4244, "unknown")],
                status="unknown",
            ),
        ],
        "warmers": [
            warmer(
                "prices",
                [
                    warmth(4242, "running", done=812, total=1200, seconds=6.2),
                    warmth(4243, "running", done=300, total=1200, seconds=6.1, attempts=2),
                    warmth(4244, "running", seconds=6.0),
                ],
            ),
            warmer("templates", [warmth(4242), warmth(4243, "elsewhere"), warmth(4244, "elsewhere")], per="instance"),
            warmer(
                "search-index",
                [
                    warmth(4242, "waiting"),
                    warmth(4243, "late", done=10, total=90, seconds=20.0),
                    warmth(4244, "failed", why="no such index: products-v7"),
                ],
            ),
        ],
    }


def leaving() -> Facts:
    """Return one that was told to stop and drains, while a slow export is in its way."""
    usual = status()
    for one in usual["workers"]["each"]:
        one |= {"phase": "draining", "ready": False}
    return usual | {
        "phase": "draining",
        "status": "fail",
        "ready": False,
        "workers": usual["workers"] | {"ready": 0},
        "timeline": timeline(starting=1.2, warming=3.4, ready=8042.0, settling=7.3, draining=4.1),
        "reasons": [reason("draining", 4242, 4243, 4244, since=4.1)],
        "in_flight": in_flight(
            flight(4242, 14.2, "/export", id="r-901"),
            flight(4243, 3.0, kind="websocket", route="/live", id=None),
            flight(4244, 88.0, "nightly import", kind="work", method=None, id=None),
        ),
    }


def many() -> Facts:
    """Return one of sixty-four workers, with ten checks and more in flight than is listed."""
    pids = range(5000, 5064)
    usual = status()
    each = [worker(pid, in_flight=pid % 3, oldest=(pid % 7) / 3 if pid % 3 else None) for pid in pids]
    each[17] |= {"stuck": 12.0, "ready": False, "beat_age": 12.0}
    each[40] |= {"phase": "warming", "ready": False}
    checks = [check(f"backend-{number}", [said(pid) for pid in pids]) for number in range(10)]
    checks[3] = check(
        "backend-3",
        [
            said(
                pid,
                "fail" if pid % 5 == 0 else "pass",
                *("pass",) * 17,
                "fail",
                "fail",
                "fail",
                why=f"refused by shard {pid % 25}" if pid % 5 == 0 else "",
            )
            for pid in pids
        ],
        status="fail",
        kind="degrades",
    )
    flights = in_flight(*[flight(5000 + place, 0.1 * place) for place in range(50)])
    return usual | {
        "pid": 5003,
        "status": "warn",
        "requests": 812345,
        "reasons": [
            reason("check:backend-3", *[pid for pid in pids if pid % 5 == 0]),
            reason("workers", 5017, 5040, since=9.0),
        ],
        "workers": {"expected": 64, "needed": 48, "ready": 62, "lost": 3, "each": each},
        "in_flight": flights | {"count": 64},
        "checks": checks,
        "warmers": [
            warmer("prices", [warmth(pid, "running", done=1, total=7) if pid == 5040 else warmth(pid) for pid in pids])
        ],
    }


HOSTILE = '"><script>alert(1)</script><b>\x1b[31m\x1b]0;owned\x07\u202egnp.exe\n\ud800[bold red]{{ 7 * 7 }}'


def hostile() -> Facts:
    """Return one whose every word was chosen by somebody who means ill."""
    usual = unready()
    flights = in_flight(flight(4243, 71.0, f"/{HOSTILE}" + "x" * 9000, id=HOSTILE, method=HOSTILE))
    failing = [said(4242, "fail", "fail", why=HOSTILE)]
    return usual | {
        "service": HOSTILE,
        "version": HOSTILE,
        "instance": HOSTILE,
        "environment": HOSTILE,
        "server": HOSTILE,
        "reasons": [reason(HOSTILE), reason(f"check:{HOSTILE}", 4242), reason(f"warmer:{HOSTILE}", 4242)],
        "in_flight": flights,
        "checks": [check(HOSTILE, failing, status="fail")],
        "warmers": [warmer(HOSTILE, [warmth(4242, "failed", why=HOSTILE)])],
        "budget": usual["budget"] | {"misfits": [HOSTILE]},
        "workers": usual["workers"] | {"each": [worker(4242, version=HOSTILE)]},
    }


def bare() -> Facts:
    """Return one without checks and warmers, which is all that a small service has."""
    usual = status()
    alone = {"expected": 1, "needed": 1, "ready": 1, "lost": 0, "each": [worker(77)]}
    return usual | {"pid": 77, "checks": [], "warmers": [], "in_flight": in_flight(), "workers": alone}


SITUATIONS: dict[str, Callable[[], Facts]] = {
    made.__name__: made for made in (ready, degraded, unready, warming, leaving, many, hostile, bare)
}
