"""One warmer, and the order of several, by the rules of `zdlife.machine.warming`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from zdlife.errors import WrongUse
from zdlife.machine import warming
from zdlife.machine.warming import WarmerRule, WarmerState, Warmth

RULE = WarmerRule("prices", deadline=20)
STRICT = WarmerRule("prices", deadline=20, on_deadline="unready")
FRESH = WarmerState()


def running(at: float = 0.0) -> WarmerState:
    return warming.began(FRESH, at)


def test_a_warmer_holds_until_it_is_done() -> None:
    assert warming.holds(RULE, FRESH, 0.0)
    assert warming.holds(RULE, running(), 19.9)
    assert not warming.holds(RULE, warming.ended(running(), 3.0), 3.0)


def test_at_its_deadline_it_lets_go_or_holds_on_as_declared() -> None:
    assert not warming.holds(RULE, running(), 20.0)
    assert warming.holds(STRICT, running(), 1e6)
    assert warming.shown(RULE, running(), 20.0) is Warmth.LATE


def test_the_deadline_counts_from_its_first_turn_and_not_from_a_retry() -> None:
    again = warming.began(warming.failed(running(), 5.0, why="x"), 10.0)

    assert again.began == 0.0
    assert warming.overdue(RULE, again, 20.0)


def test_one_that_has_not_begun_is_not_overdue() -> None:
    assert not warming.overdue(RULE, FRESH, 1e6)


def test_one_that_is_done_late_is_done() -> None:
    assert warming.shown(RULE, warming.ended(running(), 30.0), 31.0) is Warmth.DONE


def test_those_of_one_order_begin_together_and_the_next_when_none_holds() -> None:
    first, second, third = WarmerRule("a"), WarmerRule("b"), WarmerRule("c", order=1)
    fresh = [(first, FRESH), (second, FRESH), (third, FRESH)]
    assert [*warming.due(fresh, 0.0)] == [first, second]

    one_done = [(first, warming.ended(running(), 1.0)), (second, running()), (third, FRESH)]
    assert [*warming.due(one_done, 1.0)] == []

    both = [(first, warming.ended(running(), 1.0)), (second, warming.ended(running(), 2.0)), (third, FRESH)]
    assert [*warming.due(both, 2.0)] == [third]


def test_one_that_is_late_holds_up_nobody_and_still_runs_again() -> None:
    late = warming.failed(running(), 1.0, why="x")
    third = WarmerRule("c", order=1)

    assert [*warming.due([(RULE, late), (third, FRESH)], 21.0)] == [RULE, third]


def test_a_failed_one_runs_again_after_a_pause_that_doubles() -> None:
    state, now, pauses = FRESH, 0.0, []
    for _ in range(9):
        state = warming.failed(warming.began(state, now), now, why="no")
        pauses.append(state.retry_at - now)
        assert [*warming.due([(STRICT, state)], state.retry_at - 0.01)] == []
        assert [*warming.due([(STRICT, state)], state.retry_at)] == [STRICT]
        now = state.retry_at

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert (state.attempts, state.why) == (9, "no")


def test_one_that_another_worker_runs_is_asked_about_again() -> None:
    state = warming.left_to_another(FRESH, 1.0, retry_at=2.0)

    assert (state.status, state.began) == (Warmth.ELSEWHERE, 1.0)
    assert [*warming.due([(RULE, state)], 1.5)] == []
    assert [*warming.due([(RULE, state)], 2.0)] == [RULE]
    assert warming.holds(RULE, state, 20.9)
    assert not warming.holds(RULE, state, 21.0)


def test_a_hit_rate_that_is_too_low_is_asked_for_again() -> None:
    rule = WarmerRule("hits", minimum=0.8, every=2.0)
    state = warming.advanced(warming.not_yet(rule, running(), 1.0), done=50, total=80)

    assert warming.shown(rule, state, 1.0) is Warmth.RUNNING
    assert warming.shown(rule, FRESH, 1.0) is Warmth.WAITING
    assert warming.wakes_at([(rule, state)], 1.0) == 3.0
    assert [*warming.due([(rule, state)], 3.0)] == [rule]


@pytest.mark.parametrize(
    ("state", "now", "wakes"),
    [
        pytest.param(FRESH, 0.0, math.inf, id="not-begun"),
        pytest.param(running(), 1.0, 20.0, id="deadline"),
        pytest.param(running(), 20.0, math.inf, id="deadline-over"),
        pytest.param(warming.failed(running(), 1.0, why="x"), 1.0, 1.5, id="pause"),
        pytest.param(warming.failed(running(), 1.0, why="x"), 9.0, 9.0, id="pause-over"),
        pytest.param(warming.ended(running(), 1.0), 1.0, math.inf, id="done"),
    ],
)
def test_it_is_known_when_the_next_thing_can_happen(state: WarmerState, now: float, wakes: float) -> None:
    assert warming.wakes_at([(RULE, state)], now) == wakes


def test_one_whose_order_has_to_wait_wakes_nobody() -> None:
    lower, failed_above = WarmerRule("a", deadline=50), warming.failed(running(), 1.0, why="x")
    above = WarmerRule("b", order=1, on_deadline="unready")

    assert warming.wakes_at([(lower, running()), (above, failed_above)], 9.0) == 20.0


def test_a_new_run_starts_from_nothing() -> None:
    state = warming.began(replace(running(), done=3, total=4, why="no"), 7.0)

    assert (state.done, state.total, state.why, state.attempts) == (None, None, "", 2)


def test_reasons_tell_work_from_measure() -> None:
    assert (RULE.reason, WarmerRule("prices", minimum=0.5).reason) == ("warmer:prices", "warmth:prices")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": ""}, "1 to 64"),
        ({"deadline": 0}, "positive"),
        ({"deadline": math.nan}, "positive"),
        ({"on_deadline": "maybe"}, '"ready" or "unready"'),
        ({"per": "host"}, '"worker" or "instance"'),
        ({"minimum": 0}, "hit rate"),
        ({"minimum": 80}, "hit rate"),
        ({"minimum": 0.8, "every": 0}, "positive"),
    ],
)
def test_what_cannot_be_is_said_at_the_definition(given: dict[str, Any], says: str) -> None:
    with pytest.raises(WrongUse, match=says):
        WarmerRule(**({"name": "prices"} | given))
