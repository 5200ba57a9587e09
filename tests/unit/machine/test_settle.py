"""When the settle is over, as far as the arrivals until now tell."""

from __future__ import annotations

import pytest

from zdlife.machine.settle import Limits, ends_at

LIMITS = Limits(settle=5, settle_quiet=2, settle_max=10)
ASKED_AT = 100.0


def end(last_arrival: float | None, *, limits: Limits = LIMITS) -> float:
    """Return how long after the stop signal the settle ends."""
    return ends_at(limits, asked_at=ASKED_AT, last_arrival=last_arrival) - ASKED_AT


@pytest.mark.parametrize(
    ("last_arrival", "ends"),
    [
        pytest.param(None, 5, id="nobody-ever-came"),
        pytest.param(ASKED_AT - 0.1, 5, id="the-last-came-before-the-signal"),
        pytest.param(ASKED_AT, 5, id="at-the-signal"),
        pytest.param(ASKED_AT + 2.9, 5, id="quiet-before-the-least-time"),
        pytest.param(ASKED_AT + 3, 5, id="quiet-just-at-the-least-time"),
        pytest.param(ASKED_AT + 4, 6, id="prolonged"),
        pytest.param(ASKED_AT + 8, 10, id="up-to-the-cap"),
        pytest.param(ASKED_AT + 9.9, 10, id="never-beyond-the-cap"),
    ],
)
def test_it_ends_when_no_request_has_come_for_the_quiet_time(last_arrival: float | None, ends: float) -> None:
    assert end(last_arrival) == ends


def test_a_settle_of_zero_ends_at_once_whoever_still_comes() -> None:
    assert end(ASKED_AT + 1, limits=Limits(settle=0, settle_quiet=2, settle_max=10)) == 0


def test_a_cap_below_the_least_time_gives_way_to_it() -> None:
    assert end(ASKED_AT + 4.9, limits=Limits(settle=5, settle_quiet=2, settle_max=1)) == 5


def test_without_a_quiet_time_only_the_least_time_counts() -> None:
    assert end(ASKED_AT + 4.9, limits=Limits(settle=5, settle_quiet=0, settle_max=10)) == 5


@pytest.mark.parametrize(
    ("grace", "ends"),
    [
        pytest.param(28, 10, id="room-for-the-cap"),
        pytest.param(26, 8, id="room-for-some-of-it"),
        pytest.param(22, 5, id="the-least-time-comes-before-the-drain"),
        pytest.param(6, 3, id="the-cleanup-comes-before-the-least-time"),
        pytest.param(2, 0, id="no-room-at-all"),
    ],
)
def test_it_leaves_the_grace_period_room_for_what_follows(grace: float, ends: float) -> None:
    limits = Limits(settle=5, settle_quiet=2, settle_max=10, drain=15, cleanup=3, grace=grace)

    assert end(ASKED_AT + 9.9, limits=limits) == ends
