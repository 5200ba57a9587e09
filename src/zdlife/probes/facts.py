"""Everything there is to know of an instance at this moment, as one JSON object: for the status page and the command.

Times named `at` and `since` are Unix seconds, everything else is seconds. It is put together from memory: from this
worker's own, and from what its siblings have told on the board.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from zdlife.lifecycle import Lifecycle
from zdlife.machine.phases import Phase
from zdlife.machine.readiness import Reason, Standing, Surroundings, WorkerView, instance
from zdlife.process import siblings
from zdlife.process.board import Board
from zdlife.process.seat import Seat
from zdlife.version import __version__

MOST_IN_FLIGHT = 50
SLOW_BEAT = 2.0
"""Seconds without a turn of the monitor or the loop after which a worker is shown as stuck."""

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """One worker of an instance, as whoever asks knows it; times are monotonic."""

    view: WorkerView
    requests: int
    held: int
    pieces: Sequence[Mapping[str, Any]]
    beat_at: float | None
    loop_beat_at: float | None
    told: Mapping[str, Any]


def of(life: Lifecycle) -> Facts:
    """Return the facts of the instance that `life` belongs to."""
    now = monotonic()
    board = life.board
    members = [_own(life, now), *_others(board, now, but=life.presence.seat)]
    lost = {"lost": board.lost_workers, "folded": max(0, board.begun - sum(s.begun for s in board.seats()))}
    return _facts(
        now,
        about=life.presence.about,
        phase=life.presence.instance_phase,
        timeline=life.presence.timeline(),
        standing=life.presence.standing(now),
        members=members,
        expected=board.expected,
        counts=lost,
    )


def of_board(board: Board) -> Facts:
    """Return the facts of the instance whose page `board` is, for somebody who is no worker of it."""
    now = monotonic()
    members = [*_others(board, now, but=None)]
    about = next((member.told["about"] for member in members if "about" in member.told), UNKNOWN)
    phases = [member.view.phase for member in members]
    leaving = board.leaving
    phase = board.phase if board.phase.leaving else max(phases, default=Phase.STOPPED, key=list(Phase).index)
    around = Surroundings(
        expected=board.expected,
        at_least=about.get("at_least"),
        was_ready=board.ready_at is not None,
        leaving=(phase if phase.leaving else Phase.SETTLING) if leaving else None,
        since=board.asked_at or now,
        held_since=board.held_since,
        short_since=board.short_since,
    )
    return _facts(
        now,
        about=about,
        phase=Phase.SETTLING if leaving and not phase.leaving else phase,
        timeline=tuple(board.entered()),
        standing=instance([member.view for member in members], around=around, now=now),
        members=members,
        expected=board.expected,
        counts={"lost": board.lost_workers, "folded": board.begun - sum(member.requests for member in members)},
    )


UNKNOWN: Mapping[str, Any] = {
    "service": "unknown",
    "version": "unknown",
    "instance": "unknown",
    "environment": "unknown",
    "server": "unknown",
    "budget": {"grace": 0.0, "settle": 0.0, "settle_max": 0.0, "drain": 0.0, "cleanup": 0.0, "misfits": []},
}
"""What is said of an instance none of whose workers has said anything yet."""


def _own(life: Lifecycle, now: float) -> Member:
    pieces = [
        {"kind": p.kind, "method": p.method, "route": p.route, "id": p.id, "age": p.age}
        for p in life.inflight.pieces(now)
    ]
    pulse = life.presence.pulse
    return Member(
        view=life.presence.views(now)[0],
        requests=life.inflight.begun,
        held=len(pieces),
        pieces=pieces,
        beat_at=life.presence.turned_at,
        loop_beat_at=None if pulse is None else pulse.felt_at,
        told={"about": life.presence.about, **life.readiness.facts(now)},
    )


def _others(board: Board, now: float, *, but: Seat | None) -> Iterator[Member]:
    for seat in board.seats():
        view = siblings.view_of(seat, now)
        if view is None or (but is not None and seat.index == but.index):
            continue
        yield Member(
            view=view,
            requests=seat.begun,
            held=seat.in_flight,
            pieces=[{**row, "age": now - row["began"]} for row in seat.rows()],
            beat_at=seat.beat_at,
            loop_beat_at=seat.loop_beat_at,
            told=siblings.heard(seat),
        )


def _facts(
    now: float,
    *,
    about: Mapping[str, Any],
    phase: Phase,
    timeline: Sequence[tuple[Phase, float]],
    standing: Standing,
    members: Sequence[Member],
    expected: int,
    counts: Mapping[str, int],
) -> Facts:
    wall = time.time() - now
    members = sorted(members, key=lambda member: member.view.pid)  # Whichever worker answers, rows keep their places.
    release = {key: about[key] for key in ("service", "version", "instance", "environment", "server")}
    return {
        "zdlife": __version__,
        "kind": "status",
        "at": round(wall + now, 3),
        **release,
        "pid": os.getpid(),
        "phase": phase.value,
        "status": standing.status.value,
        "ready": standing.ready,
        "reasons": [_reason(reason, members, wall) for reason in standing.reasons],
        "timeline": _timeline(timeline, now, wall),
        "budget": _budget(about["budget"]),
        "workers": {
            "expected": expected or len(members),
            "needed": standing.needed,
            "ready": standing.able,
            "lost": counts["lost"],
            "each": [_worker(member, now, about["version"]) for member in members],
        },
        "requests": counts["folded"] + sum(member.requests for member in members),
        "in_flight": _in_flight(members),
        "checks": _checks(members, wall),
        "warmers": _warmers(members),
    }


def _reason(reason: Reason, members: Iterable[Member], wall: float) -> Facts:
    said_by = [
        member.view.pid
        for member in members
        if any(reason.word == said.word for said in (*member.view.reasons, *member.view.verdict.cautions))
    ]
    return {"reason": reason.word, "since": round(wall + reason.since, 3), "workers": said_by}


def _timeline(timeline: Sequence[tuple[Phase, float]], now: float, wall: float) -> list[Facts]:
    ends = [*(at for _, at in timeline[1:]), now][: len(timeline)]
    return [
        {"phase": phase.value, "at": round(wall + at, 3), "seconds": round(until - at, 3)}
        for (phase, at), until in zip(timeline, ends, strict=True)
    ]


def _budget(budget: Mapping[str, Any]) -> Facts:
    settle = max(budget["settle"], budget["settle_max"]) if budget["settle"] > 0 else 0.0
    needed = settle + budget["drain"] + budget["cleanup"]
    return {**budget, "needed": needed, "fits": not budget["misfits"]}


def _worker(member: Member, now: float, version: str) -> Facts:
    view = member.view
    ages = [piece["age"] for piece in member.pieces]
    beats = [at for at in (member.beat_at, member.loop_beat_at) if at is not None]
    quiet = max((now - at for at in beats), default=0.0)
    return {
        "pid": view.pid,
        "phase": view.phase.value,
        "ready": view.able,
        "version": member.told.get("about", {}).get("version", version),
        "requests": member.requests,
        "in_flight": member.held,
        "oldest": round(max(ages), 3) if ages else None,
        "beat_age": round(max(0.0, now - (member.beat_at or now)), 3),
        "stuck": round(quiet, 3) if quiet > SLOW_BEAT else None,
    }


def _in_flight(members: Iterable[Member]) -> Facts:
    members = tuple(members)
    each = [
        {
            "worker": member.view.pid,
            "kind": piece["kind"],
            "method": piece["method"],
            "route": piece["route"],
            "id": piece["id"],
            "age": round(max(0.0, piece["age"]), 3),
        }
        for member in members
        for piece in member.pieces
    ]
    each.sort(key=lambda piece: -piece["age"])
    return {"count": sum(member.held for member in members), "each": each[:MOST_IN_FLIGHT]}


def _checks(members: Iterable[Member], wall: float) -> list[Facts]:
    found: dict[str, Facts] = {}
    for member in members:
        for told in member.told.get("checks", ()):
            shape = {key: told[key] for key in ("name", "kind", "interval", "timeout")}
            check = found.setdefault(told["name"], {**shape, "status": "pass", "workers": []})
            check["workers"].append(_check(told, member.view.pid, wall))
    for check in found.values():
        check["status"] = max((each["status"] for each in check["workers"]), key=WORST.index)
    return list(found.values())


WORST = ("pass", "warn", "unknown", "fail")


def _check(told: Mapping[str, Any], pid: int, wall: float) -> Facts:
    return {
        "pid": pid,
        **{key: told[key] for key in ("status", "stale", "latency", "why", "abandoned")},
        "since": round(wall + told["since"], 3),
        "at": None if told["at"] is None else round(wall + told["at"], 3),
        "history": [
            {"at": round(wall + at, 3), "status": status, "latency": latency} for at, status, latency in told["history"]
        ],
    }


def _warmers(members: Iterable[Member]) -> list[Facts]:
    found: dict[tuple[str, str], Facts] = {}
    for member in members:
        for told in member.told.get("warmers", ()):
            shape = {key: told[key] for key in ("name", "kind", "per", "deadline")}
            warmer = found.setdefault((told["kind"], told["name"]), {**shape, "workers": []})
            said = {key: told[key] for key in ("status", "done", "total", "seconds", "attempts", "why")}
            warmer["workers"].append({"pid": member.view.pid, **said})
    return list(found.values())
