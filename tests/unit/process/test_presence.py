"""A worker among its siblings: what each tells, and what they are together whichever is asked."""

from __future__ import annotations

import os
import threading
from random import Random
from time import monotonic
from typing import Any

import pytest

from support import eventually
from unit.fakes import FakeServer, life_of, reach
from zdlife import Lifecycle, Phase
from zdlife.machine.checks import Status
from zdlife.machine.readiness import Reason, Verdict
from zdlife.process import siblings
from zdlife.process.board import Board
from zdlife.process.layout import FACTS_BYTES
from zdlife.process.seat import Seat

ANOTHER = 1
"""A process that surely lives, and is not this one."""
GONE = 2**22 + 1
"""A process that surely does not: there are fewer."""
ABOUT = {"service": "shop", "version": "1.4", "instance": "shop-7", "environment": "test", "server": "fake"}
NOTHING: dict[str, Any] = {"checks": [], "warmers": []}


def seated(board: Board, pid: int = ANOTHER) -> Seat:
    seat = board.claim(pid)
    assert seat is not None
    return seat


def speak(
    seat: Seat, verdict: Verdict, *, at: float | None = None, phase: Phase = Phase.READY, release: int = 0
) -> None:
    """Have the worker at `seat` say this of itself."""
    seat.publish(phase)
    siblings.tell(seat, verdict=verdict, about=ABOUT, facts=NOTHING)
    now = monotonic() if at is None else at
    plain = verdict.able and not verdict.cautions
    seat.beat(now, able=verdict.able, plain=plain, release_hash=release, loop_beat=None)


def begun(board: Board, **settings: Any) -> Lifecycle:
    life = life_of(**settings)
    life.begin(FakeServer(alone=False), board=board, seat=seated(board, os.getpid()))
    return life


def alike(life: Lifecycle, seat: Seat) -> int:
    """Return the number by which the sibling says that it is of the same release."""
    eventually(lambda: life.presence.seat is not None and life.presence.seat.release_hash)
    assert life.presence.seat is not None
    return life.presence.seat.release_hash


# What a worker tells.


def test_a_worker_is_seen_as_it_says() -> None:
    seat = seated(Board.anonymous())
    speak(seat, Verdict(cautions=(Reason("check:mail", 3.0),)))

    view = siblings.view_of(seat, monotonic())

    assert view is not None
    assert (view.pid, view.able, view.verdict.cautions) == (ANOTHER, True, (Reason("check:mail", 3.0),))


def test_one_that_is_not_able_says_why() -> None:
    seat = seated(Board.anonymous())
    speak(seat, Verdict(reasons=(Reason("check:db", 3.0),)))

    view = siblings.view_of(seat, monotonic())

    assert view is not None
    assert (view.able, view.reasons) == (False, (Reason("check:db", 3.0),))


def test_one_that_has_said_nothing_yet_is_where_its_seat_says() -> None:
    view = siblings.view_of(seated(Board.anonymous()), 9.0)

    assert view is not None
    assert (view.phase, view.able, view.silent_since) == (Phase.STARTING, False, None)
    assert view.reasons == (Reason("starting", 9.0),)


def test_one_that_falls_silent_is_not_able_and_one_that_is_gone_is_not_seen() -> None:
    board, now = Board.anonymous(), monotonic()
    silent, gone = seated(board), seated(board, GONE)
    speak(silent, Verdict(), at=now - 6)
    speak(gone, Verdict(), at=now - 2)

    (view,) = siblings.views(board, now)

    assert (view.pid, view.able, view.reasons) == (ANOTHER, False, (Reason("silent", now - 6),))


def test_a_recycled_worker_that_still_answers_speaks_as_one_that_is_ready() -> None:
    seat = seated(Board.anonymous())
    speak(seat, Verdict(), phase=Phase.DRAINING)

    view = siblings.view_of(seat, monotonic())

    assert view is not None
    assert view.phase is Phase.READY


def test_facts_that_have_no_room_lose_their_history_and_then_everything_but_the_verdict() -> None:
    seat, noise = seated(Board.anonymous()), Random(1)

    def tell(checks: int) -> dict[str, Any]:
        histories = [[[noise.random(), "pass", noise.random()] for _ in range(20)] for _ in range(checks)]
        facts = {"checks": [{"name": noise.random(), "history": each} for each in histories], "warmers": []}
        siblings.tell(seat, verdict=Verdict((Reason("check:c0", 1.0),)), about=ABOUT, facts=facts)
        return siblings.heard(seat)

    assert {len(check["history"]) for check in tell(5)["checks"]} == {20}
    assert {len(check["history"]) for check in tell(60)["checks"]} == {3}
    bare = tell(3000)
    assert "checks" not in bare
    assert bare["reasons"] == [["check:c0", 1.0]]


@pytest.mark.parametrize("written", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_what_cannot_be_read_is_nothing(written: bytes) -> None:
    seat = seated(Board.anonymous())
    assert seat.tell(written)

    assert siblings.heard(seat) == {}


def test_facts_that_are_being_written_are_not_read_half() -> None:
    board = Board.anonymous()
    seat = seated(board)
    seat.tell(b'{"a": 1}')
    whole = bytes(board.page)
    board.page[whole.index(b'{"a": 1}') + 6 : whole.index(b'{"a": 1}') + 7] = b"9"

    assert siblings.heard(seat) == {}
    assert not seat.tell(b"x" * (FACTS_BYTES + 1))


# What they are together.


def test_every_worker_gives_the_same_answer() -> None:
    board = Board.anonymous()
    board.expect(2)
    life, other = begun(board), seated(board)
    life.loaded()
    reach(Phase.READY, life)

    assert [reason.word for reason in life.presence.standing(monotonic()).reasons] == ["starting", "workers"]
    speak(other, Verdict(), release=alike(life, other))
    assert life.presence.standing(monotonic()).status is Status.PASS
    assert life.presence.instance_phase is Phase.READY or eventually(
        lambda: life.presence.instance_phase is Phase.READY
    )

    speak(other, Verdict((Reason("check:db", 1.0),)), release=alike(life, other))
    assert [reason.word for reason in life.presence.standing(monotonic()).reasons] == ["check:db", "workers"]
    assert not life.ready


def test_an_instance_is_warming_until_enough_workers_are_able() -> None:
    board = Board.anonymous()
    board.expect(2)
    life = begun(board)
    assert life.presence.instance_phase is Phase.STARTING
    life.loaded()
    reach(Phase.READY, life)

    assert life.presence.instance_phase is Phase.WARMING


def test_a_worker_of_an_instance_that_serves_already_accepts_only_when_it_is_warm() -> None:
    board = Board.anonymous()
    board.note_ready(1.0)
    life, go_on = life_of(), threading.Event()
    life.warm("prices")(lambda: go_on.wait(30))
    server = FakeServer(alone=False)
    life.begin(server, board=board, seat=seated(board, os.getpid()))
    life.loaded()
    assert life.serves_only_warm

    go_on.set()
    life.wait_until_warm()

    assert life.phase is Phase.READY
    assert not life.serves_only_warm


def test_it_tells_its_server_that_it_lives_meanwhile() -> None:
    board, go_on = Board.anonymous(), threading.Event()
    board.note_ready(1.0)
    life, server = life_of(), FakeServer(alone=False)
    life.warm("prices")(lambda: go_on.wait(30))
    life.begin(server, board=board, seat=seated(board, os.getpid()))
    life.loaded()
    waiting = threading.Thread(target=life.wait_until_warm)
    waiting.start()

    eventually(lambda: "alive" in server.told)
    go_on.set()
    waiting.join(10)
    assert not waiting.is_alive()


def test_the_first_worker_of_an_instance_answers_probes_while_it_warms() -> None:
    life, go_on = life_of(), threading.Event()
    life.warm("prices")(lambda: go_on.wait(30))
    life.begin(FakeServer())
    life.loaded()

    assert not life.serves_only_warm
    life.wait_until_warm()
    go_on.set()


def test_taken_out_by_hand_it_is_unready_until_it_is_put_back() -> None:
    life = life_of()
    life.begin(FakeServer())
    life.loaded()
    reach(Phase.READY, life)
    life.take_out()
    assert [reason.word for reason in life.presence.standing(monotonic()).reasons] == ["manual"]

    life.put_back()

    assert life.ready


@pytest.mark.parametrize(
    ("beat", "loop_beat", "words"),
    [(-1.0, -1.0, []), (-40.0, -1.0, ["monitor"]), (-1.0, -40.0, ["loop"]), (-1.0, None, [])],
)
def test_a_sibling_that_is_stuck_is_known(beat: float, loop_beat: float | None, words: list[str]) -> None:
    board = Board.anonymous()
    life, other, now = begun(board), seated(board), monotonic()
    other.publish(Phase.READY)
    other.beat(
        now + beat, able=True, plain=True, release_hash=0, loop_beat=None if loop_beat is None else now + loop_beat
    )

    assert [reason.word for _, reason in life.presence.stuck(now, after=30)] == words


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.WARMING])
def test_a_loop_that_is_blocked_while_its_worker_arrives_is_not_stuck(phase: Phase) -> None:
    board = Board.anonymous()
    life, other, now = begun(board), seated(board), monotonic()
    other.publish(phase)
    other.beat(now, able=False, plain=False, release_hash=0, loop_beat=now - 40)

    assert [*life.presence.stuck(now, after=30)] == []


def test_one_that_is_gone_is_not_stuck() -> None:
    board = Board.anonymous()
    life, other, now = begun(board), seated(board, GONE), monotonic()
    other.beat(now - 40, able=True, plain=True, release_hash=0, loop_beat=None)

    assert [*life.presence.stuck(now, after=30)] == []


def test_what_is_told_is_heard() -> None:
    board = Board.anonymous()
    life = begun(board)
    life.check("db")(lambda: None)
    life.loaded()
    reach(Phase.READY, life)
    seat = life.presence.seat
    assert seat is not None

    told = eventually(lambda: siblings.heard(seat).get("checks"))

    assert [check["name"] for check in told] == ["db"]
