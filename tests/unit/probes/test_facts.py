"""Everything there is to know of an instance, from a worker of it and from its page alone."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from support import eventually
from unit.fakes import RELEASE, FakeServer, environ, life_of, reach
from zdlife import Lifecycle, Phase
from zdlife.machine.phases import Event
from zdlife.machine.readiness import Reason, Verdict
from zdlife.probes import facts
from zdlife.process import siblings
from zdlife.process.board import Board

ANOTHER = 1


def ready_life(board: Board | None = None, **settings: Any) -> Lifecycle:
    life = life_of(**settings)
    life.check("db", interval=0.05, timeout=0.05)(lambda: None)
    life.warm("prices")(lambda warm: warm.advance(2, 2))
    seat = None if board is None else board.claim(os.getpid())
    life.begin(FakeServer(alone=seat is None), board=board, seat=seat)
    life.loaded()
    reach(Phase.READY, life)
    eventually(lambda: life.ready)
    return life


def test_the_facts_of_one_process() -> None:
    life = ready_life()
    life.inflight.begin("request", environ("/slow"))

    found = facts.of(life)

    assert {key: found[key] for key in ("service", "version", "instance")} == RELEASE.as_dict()
    assert (found["status"], found["ready"], found["phase"], found["pid"]) == ("pass", True, "ready", os.getpid())
    assert [passage["phase"] for passage in found["timeline"]] == ["starting", "warming", "ready"]
    assert abs(found["at"] - time.time()) < 5
    assert found["workers"]["expected"] == found["workers"]["ready"] == 1
    assert found["requests"] == 1
    assert [(piece["route"], piece["worker"]) for piece in found["in_flight"]["each"]] == [("/slow", os.getpid())]
    assert [(check["name"], check["status"]) for check in found["checks"]] == [("db", "pass")]
    assert [warmer["workers"][0]["status"] for warmer in found["warmers"]] == ["done"]
    assert found["budget"]["needed"] == 60 + 60 + 5
    json.dumps(found)


def test_the_worst_of_the_workers_is_the_checks_status() -> None:
    board = Board.anonymous()
    life = ready_life(board)
    other = board.claim(ANOTHER)
    assert other is not None
    told = json.loads(json.dumps(life.readiness.facts(0.0)))
    told["checks"][0]["status"] = "fail"
    siblings.tell(other, verdict=Verdict((Reason("check:db", 1.0),)), about=life.presence.about, facts=told)

    found = facts.of(life)

    (check,) = found["checks"]
    assert (check["status"], len(check["workers"])) == ("fail", 2)
    assert found["workers"]["each"][0]["version"] == RELEASE.version


def test_a_worker_that_does_not_turn_is_shown_as_stuck() -> None:
    board = Board.anonymous()
    life = ready_life(board)
    other = board.claim(ANOTHER)
    assert other is not None
    now = time.monotonic()
    other.beat(now, able=True, plain=True, release_hash=0, loop_beat=now - 3)

    other_stuck, own_stuck = [worker["stuck"] for worker in facts.of(life)["workers"]["each"]]

    assert own_stuck is None
    assert 3 <= other_stuck < 10


def test_the_page_alone_tells_the_same() -> None:
    board = Board.anonymous()
    life = ready_life(board)
    seat = life.presence.seat
    assert seat is not None
    eventually(lambda: siblings.heard(seat).get("reasons") == [])
    eventually(lambda: facts.of_board(board)["ready"])

    own, page = facts.of(life), facts.of_board(board)

    different = {key for key in own if own[key] != page[key]} - {"at", "timeline", "checks", "warmers", "workers"}
    assert different == set()
    assert [check["name"] for check in page["checks"]] == ["db"]


def test_an_empty_page_says_that_nobody_is_there() -> None:
    found = facts.of_board(Board.anonymous())

    assert (found["ready"], [reason["reason"] for reason in found["reasons"]]) == (False, ["workers"])
    assert (found["service"], found["timeline"]) == ("unknown", [])


def test_a_page_whose_instance_leaves_says_so() -> None:
    board = Board.anonymous()
    life = ready_life(board)
    life.post(Event.TERM)
    reach(Phase.SETTLING, life)
    eventually(lambda: board.leaving)

    found = facts.of_board(board)

    assert (found["phase"], [reason["reason"] for reason in found["reasons"]]) == ("settling", ["settling"])
