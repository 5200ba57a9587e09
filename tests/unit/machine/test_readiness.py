"""Many checks, warmers and workers into one answer, by the rules of `zdlife.machine.readiness`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from zdlife.machine import warming
from zdlife.machine.checks import CheckRule, CheckState, Kind, Result, Status
from zdlife.machine.phases import Phase
from zdlife.machine.readiness import (
    Check,
    Peers,
    Reason,
    Standing,
    Surroundings,
    Verdict,
    WorkerView,
    instance,
    may_arrive,
    merged,
    what_starts,
    worker,
)
from zdlife.machine.warming import WarmerRule, WarmerState

UNRUN = CheckState()


def state(status: Status) -> CheckState:
    return CheckState(up=status is not Status.FAIL, since=1.0, results=(Result(1.0, status, 0.0),))


def check(kind: Kind, status: Status = Status.PASS, *, name: str = "db") -> Check:
    return CheckRule(name, kind=kind), state(status)


def verdict(*checks: Check, phase: Phase = Phase.READY, now: float = 2.0, **more: Any) -> Verdict:
    return worker(phase, 0.5, checks=checks, warmers=more.pop("warmers", ()), now=now, **more)


def words(reasons: Sequence[Reason]) -> list[str]:
    return [reason.word for reason in reasons]


# One worker.


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.READY])
def test_a_worker_that_is_not_ready_says_which_phase_it_is_in(phase: Phase) -> None:
    assert verdict(phase=phase).reasons == (Reason(phase.value, 0.5),)


@pytest.mark.parametrize(
    ("kind", "status", "reasons", "cautions"),
    [
        ("required", Status.PASS, [], []),
        ("required", Status.WARN, [], ["check:db"]),
        ("required", Status.FAIL, ["check:db"], []),
        ("degrades", Status.FAIL, [], ["check:db"]),
        ("degrades", Status.WARN, [], ["check:db"]),
        ("shared", Status.FAIL, [], ["check:db"]),
        ("shared", Status.PASS, [], []),
    ],
)
def test_each_kind_of_check_has_its_say(kind: Kind, status: Status, reasons: list[str], cautions: list[str]) -> None:
    found = verdict(check(kind, status))

    assert (words(found.reasons), words(found.cautions), found.able) == (reasons, cautions, not reasons)


@pytest.mark.parametrize(("kind", "able"), [("required", False), ("shared", False), ("degrades", True)])
def test_what_was_never_run_keeps_a_worker_from_arriving_unless_it_only_degrades(kind: Kind, able: bool) -> None:
    assert may_arrive(checks=[(CheckRule("db", kind=kind), UNRUN)], warmers=(), now=1.0) is able


def test_a_stale_check_says_so_besides_its_name() -> None:
    assert words(verdict(check("required"), now=100.0).reasons) == ["check:db", "stale"]


@pytest.mark.parametrize(
    ("peers", "able"),
    [
        (None, True),
        (Peers(), True),
        (Peers(passing=2, failing=1), False),
        (Peers(passing=1, failing=1), True),
        (Peers(passing=0, failing=3), True),
    ],
)
def test_a_shared_check_takes_out_the_one_instance_that_fails_alone(peers: Peers | None, able: bool) -> None:
    found = verdict(check("shared", Status.FAIL), peers={} if peers is None else {"db": peers})

    assert found.able is able
    assert "check:db" in words((*found.reasons, *found.cautions))


def test_peers_have_no_say_in_a_shared_check_that_passes() -> None:
    assert verdict(check("shared"), peers={"db": Peers(passing=3)}).able


def test_a_warmer_holds_a_worker_and_is_a_caution_once_it_is_late() -> None:
    rule, run = WarmerRule("prices", deadline=20), warming.began(WarmerState(), 1.0)
    held = verdict(phase=Phase.WARMING, warmers=[(rule, run)])
    late = verdict(warmers=[(rule, run)], now=21.0)

    assert words(held.reasons) == ["warming", "warmer:prices"]
    assert (late.able, late.cautions) == (True, (Reason("warmer:prices", 21.0),))
    assert words(verdict(warmers=[(rule, WarmerState())]).reasons) == ["warmer:prices"]
    assert verdict(warmers=[(rule, warming.ended(run, 2.0))]) == Verdict()


# The instance.


def view(
    phase: Phase = Phase.READY, *reasons: str, release: str = "1", silent: float | None = None, cautions: Any = ()
) -> WorkerView:
    said = reasons or (() if phase is Phase.READY else (phase.value,))
    return WorkerView(
        7,
        phase,
        release,
        Verdict(tuple(Reason(word, 1.0) for word in said), tuple(Reason(word, 2.0) for word in cautions)),
        silent_since=silent,
    )


READY, WARM, START, DOWN = view(), view(Phase.WARMING), view(Phase.STARTING), view(Phase.READY, "check:db")
GONE = view(Phase.DRAINING)
SILENT = view(silent=3.0)


def standing(*views: WorkerView, **around: Any) -> Standing:
    return instance(views, around=Surroundings(**around), now=9.0)


@pytest.mark.parametrize(
    ("views", "around", "status", "reasons"),
    [
        pytest.param([READY], {}, "pass", [], id="one-and-able"),
        pytest.param([READY, READY, READY], {"expected": 3}, "pass", [], id="all-of-three"),
        pytest.param(
            [READY, READY, WARM], {"expected": 3}, "fail", ["warming", "workers"], id="not-before-all-are-warm"
        ),
        pytest.param([READY, READY], {"expected": 3}, "fail", ["workers"], id="not-before-all-are-there"),
        pytest.param([WARM, START], {"expected": 2}, "fail", ["warming", "starting"], id="none-yet"),
        pytest.param([READY, READY, WARM], {"expected": 3, "at_least": 2}, "warn", ["warming", "workers"], id="enough"),
        pytest.param([READY, READY], {"expected": 2, "at_least": 5}, "pass", [], id="no-more-than-there-are"),
        pytest.param([READY, READY], {"at_least": 3}, "fail", ["workers"], id="nobody-knows-how-many-there-are"),
        pytest.param([READY, WARM], {"expected": 2, "was_ready": True}, "warn", ["warming", "workers"], id="respawned"),
        pytest.param([READY], {"expected": 2, "was_ready": True}, "warn", ["workers"], id="missing"),
        pytest.param([READY, SILENT], {"expected": 2, "was_ready": True}, "warn", ["silent", "workers"], id="silent"),
        pytest.param([WARM, WARM], {"expected": 2, "was_ready": True}, "fail", ["warming"], id="none-is-left"),
        pytest.param([SILENT], {"was_ready": True}, "fail", ["silent"], id="silent-and-alone"),
        pytest.param([], {"expected": 2, "was_ready": True}, "fail", ["workers"], id="nobody-is-there"),
        pytest.param(
            [READY, DOWN], {"expected": 2, "was_ready": True}, "fail", ["check:db", "workers"], id="one-is-down"
        ),
        pytest.param([DOWN, DOWN], {"expected": 2, "was_ready": True}, "fail", ["check:db"], id="all-are-down"),
        pytest.param(
            [READY, DOWN],
            {"expected": 2, "at_least": 1, "was_ready": True},
            "warn",
            ["check:db", "workers"],
            id="one-will-do",
        ),
        pytest.param([READY, GONE], {"expected": 2, "was_ready": True}, "warn", ["workers"], id="one-is-leaving"),
        pytest.param([view(cautions=["check:x"])], {}, "warn", ["check:x"], id="caution"),
        pytest.param([READY], {"leaving": Phase.SETTLING, "since": 4.0}, "fail", ["settling"], id="leaving"),
        pytest.param([DOWN], {"leaving": Phase.DRAINING, "held_since": 1.0}, "fail", ["draining"], id="leaving-first"),
        pytest.param([READY], {"held_since": 4.0}, "fail", ["manual"], id="by-hand"),
    ],
)
def test_the_instance_answers_for_its_workers(
    views: list[WorkerView], around: dict[str, Any], status: str, reasons: list[str]
) -> None:
    found = standing(*views, **around)

    assert (found.status.value, words(found.reasons)) == (status, reasons)
    assert found.ready is (status != "fail")


def test_before_the_first_ready_all_must_be_of_one_release() -> None:
    mixed = [view(release="1"), view(release="2"), view(release="2")]

    assert not standing(*mixed, expected=3).ready
    assert standing(*mixed, expected=3).able == 2
    assert standing(*mixed, expected=3, at_least=2).status is Status.WARN
    assert words(standing(*mixed, expected=3).reasons) == ["workers"]


def test_afterwards_workers_of_another_release_are_said_and_take_nothing_out() -> None:
    found = standing(view(release="1"), view(release="2"), view(release="2"), expected=3, was_ready=True)

    assert (found.status, words(found.reasons)) == (Status.WARN, ["workers"])


@pytest.mark.parametrize(
    ("views", "expected", "reasons"),
    [
        pytest.param([READY, READY], 2, [], id="started"),
        pytest.param([READY, DOWN], 2, [], id="a-dependency-has-no-say"),
        pytest.param([view(Phase.WARMING, "warming", "check:db")], 1, [], id="warm-and-waiting-for-a-dependency"),
        pytest.param([START], 1, ["starting"], id="loading"),
        pytest.param([view(Phase.WARMING, "warming", "warmer:p", "check:db")], 1, ["warming", "warmer:p"], id="held"),
        pytest.param([view(Phase.WARMING, "warming", "warmth:p")], 1, ["warming", "warmth:p"], id="measured"),
        pytest.param([READY], 2, ["workers"], id="not-there"),
    ],
)
def test_an_instance_has_started_once_all_workers_are_loaded_and_warm(
    views: list[WorkerView], expected: int, reasons: list[str]
) -> None:
    assert words(what_starts(views, expected=expected, now=9.0)) == reasons


def test_a_reason_is_named_once_since_it_first_held() -> None:
    assert merged([Reason("a", 3.0), Reason("b", 2.0), Reason("a", 1.0)]) == (Reason("a", 1.0), Reason("b", 2.0))


def test_workers_are_wanting_since_somebody_first_saw_it() -> None:
    assert standing(READY, view(Phase.WARMING), expected=2, short_since=4.0).reasons[-1] == Reason("workers", 4.0)
    assert standing(READY, expected=2).reasons == (Reason("workers", 9.0),)
