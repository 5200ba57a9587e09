"""One check: up and down by the rules of `zdlife.machine.checks`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest

from zdlife.errors import WrongUse
from zdlife.machine.checks import REMEMBERED, CheckRule, CheckState, Result, Status, colour, give_up, observe

RULE = CheckRule("db", interval=5, timeout=2)
PASS, WARN, FAIL = Status.PASS, Status.WARN, Status.FAIL


def after(
    statuses: Iterable[Status], *, state: CheckState | None = None, arrived: bool = True, at: float = 0.0
) -> CheckState:
    """Return the state after these results, one at each second."""
    state = state or CheckState(since=at)
    for second, status in enumerate(statuses, start=1):
        state = observe(RULE, state, Result(at + second, status, 0.01, f"{status} at {second}"), arrived=arrived)
    return state


def test_a_check_that_has_not_run_is_unknown() -> None:
    found = colour(RULE, CheckState(since=3.0), 10.0)

    assert (found.status, found.since, found.stale) == (Status.UNKNOWN, 3.0, False)


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("first", [PASS, FAIL])
def test_the_first_result_is_the_colour_at_once(first: Status, arrived: bool) -> None:
    state = after([first], arrived=arrived)

    assert (colour(RULE, state, 1.0).status, state.since) == (first, 1.0)


@pytest.mark.parametrize(
    ("statuses", "up"),
    [
        pytest.param([PASS, FAIL, FAIL], True, id="two-failures-flip-nothing"),
        pytest.param([PASS, FAIL, FAIL, FAIL], False, id="three-failures-do"),
        pytest.param([PASS, FAIL, FAIL, PASS, FAIL, FAIL], True, id="a-pass-between-starts-anew"),
        pytest.param([PASS, FAIL, FAIL, FAIL, PASS], False, id="one-pass-brings-nothing-up"),
        pytest.param([PASS, FAIL, FAIL, FAIL, PASS, PASS], True, id="two-passes-do"),
        pytest.param([PASS, FAIL, FAIL, FAIL, PASS, FAIL, PASS], False, id="flapping-stays-down"),
        pytest.param([PASS, FAIL, PASS, FAIL, PASS, FAIL], True, id="flapping-stays-up"),
        pytest.param([PASS, FAIL, FAIL, FAIL, WARN, WARN], True, id="a-caution-is-a-pass"),
    ],
)
def test_the_colour_changes_after_results_in_a_row(statuses: list[Status], up: bool) -> None:
    assert after(statuses).up is up


@pytest.mark.parametrize(("statuses", "up"), [([PASS, FAIL], False), ([FAIL, PASS], True), ([FAIL, FAIL, PASS], True)])
def test_before_the_first_ready_the_last_result_counts(statuses: list[Status], up: bool) -> None:
    assert after(statuses, arrived=False).up is up


def test_the_thresholds_are_the_rules_own() -> None:
    rule = CheckRule("db", fall=1, rise=1)
    state = CheckState()
    for status in (PASS, FAIL):
        state = observe(rule, state, Result(1.0, status, 0.0), arrived=True)
    assert not state.up


def test_since_is_the_moment_of_the_change() -> None:
    state = after([PASS, PASS, FAIL, FAIL, FAIL, FAIL])

    assert (state.since, colour(RULE, state, 6.0).why) == (5.0, "fail at 6")


def test_a_check_that_is_down_says_what_last_went_wrong() -> None:
    assert colour(RULE, after([PASS, FAIL, FAIL, FAIL, PASS]), 5.0).why == "fail at 4"


def test_a_caution_is_shown_while_it_is_the_last_word() -> None:
    assert colour(RULE, after([WARN]), 1.0).status is WARN
    assert colour(RULE, after([WARN, PASS]), 2.0).status is PASS


def test_a_result_older_than_three_intervals_is_red_and_stale() -> None:
    state = after([PASS])

    assert colour(RULE, state, 16.0).status is PASS
    found = colour(RULE, state, 16.1)
    assert (found.status, found.stale, found.since) == (FAIL, True, 16.0)


def test_one_that_was_down_before_it_was_stale_is_down_since_then() -> None:
    found = colour(RULE, after([FAIL]), 100.0)

    assert (found.stale, found.since) == (True, 1.0)


def test_after_it_was_stale_it_takes_two_passes_to_come_up() -> None:
    one = after([PASS], state=after([PASS]), at=100.0)
    assert colour(RULE, one, 101.0).status is FAIL
    assert colour(RULE, one, 101.0).why == "it was stale"

    two = after([PASS], state=one, at=101.0)
    assert colour(RULE, two, 102.0).status is PASS


def test_a_pass_before_it_was_stale_is_none_of_those_two() -> None:
    state = after([PASS], state=after([PASS, FAIL, FAIL, FAIL, PASS]), at=100.0)

    assert colour(RULE, state, 101.0).status is FAIL


def test_one_that_was_given_up_is_a_caution_for_ever() -> None:
    state = give_up(after([PASS]), 2.0, why="it leaks")
    found = colour(RULE, state, 1e6)

    assert (found.status, found.why, found.since, found.stale) == (WARN, "it leaks", 2.0, False)


def test_one_that_was_given_up_while_it_was_down_stays_down() -> None:
    assert colour(RULE, give_up(after([FAIL]), 2.0, why="it leaks"), 3.0).status is FAIL


def test_what_failed_before_it_was_stale_is_not_why_it_is_down() -> None:
    state = after([PASS], state=after([FAIL, PASS, PASS]), at=100.0)

    assert colour(RULE, state, 101.0).why == "it was stale"


def test_the_history_keeps_the_last_results() -> None:
    state = after([PASS] * (REMEMBERED + 5))

    assert len(state.results) == REMEMBERED
    assert state.last is not None
    assert state.last.at == REMEMBERED + 5


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": ""}, "1 to 64"),
        ({"name": "a\nb"}, "1 to 64"),
        ({"name": "x" * 65}, "1 to 64"),
        ({"kind": "optional"}, '"required", "degrades" or "shared"'),
        ({"interval": 0}, "positive"),
        ({"interval": math.inf}, "positive"),
        ({"interval": math.nan}, "positive"),
        ({"timeout": 0}, "timeout above 0"),
        ({"timeout": 6}, "at most 5"),
        ({"timeout": math.nan}, "timeout above 0"),
        ({"fall": 0}, "1 or more"),
        ({"rise": 0}, "1 or more"),
    ],
)
def test_what_cannot_be_is_said_at_the_definition(given: dict[str, Any], says: str) -> None:
    with pytest.raises(WrongUse, match=says):
        CheckRule(**({"name": "db"} | given))
