"""Runs made up for the presentation: what a rehearsal of a small shop could have found."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from zdlife.rehearsal.result import (
    InstanceRun,
    InstanceView,
    Kind,
    Outcome,
    PhaseSpan,
    Request,
    Run,
    Snapshot,
)

KINDS = (
    [Kind.NEW_CONNECTION] * 40
    + [Kind.KEEP_ALIVE] * 35
    + [Kind.POST] * 14
    + [Kind.SLOW] * 7
    + [Kind.STREAM] * 2
    + [Kind.UPLOAD]
)
LEAVING = (("settling", 2.6), ("draining", 1.1), ("stopping", 0.3))


def fleet(*, rolls: int, instances: int, with_zdlife: bool) -> list[InstanceRun]:
    """Return instances replaced one by one, there and back, as a rehearsal replaces them."""
    leaving = LEAVING if with_zdlife else (("stopping", 1.4),)
    born = [(f"shop-old-{n + 1}", "1.0", 0.0) for n in range(instances)]
    stops: dict[str, float] = {}
    clock = 4.0
    for roll in range(rolls):
        release = "2.0" if roll < rolls / 2 else "1.0"
        label = "new" if release == "2.0" else "old"
        name = f"shop-{label}-{sum(label in b[0] for b in born) + 1}"
        born.append((name, release, clock))
        stops[born[roll][0]] = clock + 1.6
        clock += 1.6 + (sum(s for _, s in leaving) if with_zdlife else 2.4) + 0.5
    end = clock + 2.0
    made = []
    for name, release, at in born:
        stop = stops.get(name, end)
        spans = [PhaseSpan("starting", at, at + 0.7), PhaseSpan("warming", at + 0.7, at + 1.2)]
        spans.append(PhaseSpan("ready", at + 1.2, stop, requests=int((stop - at) * 20)))
        for phase, seconds in leaving:
            spans.append(PhaseSpan(phase, stop, stop + seconds, requests=int(seconds * 8)))
            stop += seconds
        made.append(
            InstanceRun(
                name=name,
                release=release,
                phases=tuple(spans),
                exit_code=0 if with_zdlife else -15,
                told_to_stop_at=spans[3].at,
                clean=with_zdlife,
                arrivals={len(made) + 1: at + 1.2} if with_zdlife else {},
            )
        )
    return made


def synthetic(
    *,
    server: str = "gunicorn-sync",
    balancer: str = "direct",
    with_zdlife: bool = True,
    rolls: int = 4,
    instances: int = 2,
    rate: float = 120.0,
    losing: bool | None = None,
    seed: int = 7,
) -> Run:
    """Return a run of that shape; without zdlife it loses what arrives in the second after a stop."""
    losing = not with_zdlife if losing is None else losing
    dice = random.Random(seed)
    members = fleet(rolls=rolls, instances=instances, with_zdlife=with_zdlife)
    seconds = max(m.phases[-1].until for m in members)
    last_stop = max(m.told_to_stop_at or 0.0 for m in members[:rolls])
    requests = []
    at = 1.3
    while at < last_stop + 3.0:
        at += dice.expovariate(rate)
        kind = dice.choice(KINDS)
        up = [m for m in members if m.phases[2].at <= at < m.phases[2].until + 1.0] or [members[0]]
        member = dice.choice(up)
        dying = [m for m in members[:rolls] if 0.0 <= at - (m.told_to_stop_at or 0.0) < 1.2]
        lost = losing and bool(dying) and dice.random() < 0.25
        outcome = dice.choice([Outcome.REFUSED] * 4 + [Outcome.RESET] * 3 + [Outcome.TRUNCATED]) if lost else Outcome.OK
        requests.append(
            Request(
                id=f"r{len(requests)}",
                kind=kind,
                at=at,
                seconds=dice.uniform(0.002, 0.2),
                outcome=outcome,
                path={"stream": "/export", "upload": "/photos", "slow": "/checkout"}.get(kind.value, "/basket"),
                status=None if lost else 200,
                instance=dying[0].name if lost else member.name,
                release=None if lost else member.release,
                detail="[Errno 111] connection refused" if outcome is Outcome.REFUSED else "",
            )
        )
    return Run(
        server=server,
        balancer=balancer,
        with_zdlife=with_zdlife,
        began_at="2026-03-02T09:41:07+00:00",
        seconds=seconds,
        rolls=rolls,
        rate=rate,
        requests=tuple(requests),
        instances=tuple(members),
        websockets={"1012" if with_zdlife else "1006": 2 * rolls},
        settings={
            "instances": str(instances),
            "settle": "2.5 s",
            "drain": "8 s",
            "lag of the balancer": "1.5 s",
        },
    )


def chilled(run: Run, *seconds: float) -> Run:
    """Return the run with its first requests served cold: so many seconds before their workers were ready."""
    early = (replace(request, cold=cold) for request, cold in zip(run.requests, seconds, strict=False))
    return replace(run, requests=(*early, *run.requests[len(seconds) :]))


def film_of(run: Run, *, every: float = 0.25) -> Iterator[Snapshot]:
    """Yield the snapshots that somebody watching that run would have been given."""
    at = 0.0
    while at <= run.seconds:
        views = []
        for member in run.instances:
            if member.phases[0].at <= at:
                now = [span.phase for span in member.phases if span.at <= at < span.until]
                views.append(InstanceView(member.name, member.release, now[0] if now else "stopped"))
        done = [r for r in run.requests if r.at + r.seconds <= at]
        failed: dict[str, int] = {}
        for request in done:
            if request.outcome is not Outcome.OK:
                failed[request.outcome.value] = failed.get(request.outcome.value, 0) + 1
        stops = [i for i in run.instances if i.told_to_stop_at is not None and i.told_to_stop_at <= at]
        yield Snapshot(
            at=at,
            step=f"replacement {len(stops)} of {run.rolls}" if stops else "starting the old release",
            server=run.server,
            balancer=run.balancer,
            with_zdlife=run.with_zdlife,
            instances=tuple(views),
            rate=float(len([r for r in run.requests if at - 1.0 < r.at <= at])),
            sent=len([r for r in run.requests if r.at <= at]),
            in_progress=len([r for r in run.requests if r.at <= at < r.at + r.seconds]),
            failed=failed,
        )
        at += every


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    """The factory of made-up runs."""
    return synthetic


@pytest.fixture(scope="session")
def chill() -> Callable[..., Run]:
    """What makes requests of a run cold."""
    return chilled


@pytest.fixture(scope="session")
def make_film() -> Callable[..., Iterator[Snapshot]]:
    """The factory of snapshots."""
    return film_of
