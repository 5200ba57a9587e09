"""Numbers and strangers' words become what a person can read, and what cannot steer a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.facts import NOW
from zdlife.probes.wording import LONGEST, clean, clock, duration, whose


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(None, "–", id="nothing"),
        pytest.param(-0.2, "0 ms", id="a-clock-that-stepped-back"),
        pytest.param(0.0004, "0.4 ms", id="below-a-millisecond"),
        pytest.param(0.003, "3 ms", id="milliseconds"),
        pytest.param(0.9996, "1 s", id="rounded-up-to-a-second"),
        pytest.param(1.25, "1.2 s", id="tenths"),
        pytest.param(9.96, "10 s", id="no-tenths-from-ten-on"),
        pytest.param(59.6, "1 min 00 s", id="rounded-up-to-a-minute"),
        pytest.param(192.0, "3 min 12 s", id="minutes"),
        pytest.param(3599.7, "1 h 00 min", id="rounded-up-to-an-hour"),
        pytest.param(7500.0, "2 h 05 min", id="hours"),
        pytest.param(356400.0, "4 d 3 h", id="days"),
    ],
)
def test_a_duration_has_the_units_that_matter(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


def test_a_moment_has_its_day_unless_that_is_today() -> None:
    assert clock(NOW, now=NOW) == "16:00:00"
    assert clock(NOW - 86400, now=NOW) == "23 Nov 16:00:00"


@given(st.text(st.characters()))
def test_what_is_cleaned_is_one_printable_line(text: str) -> None:
    found = clean(text)
    assert found.isprintable()
    assert len(found) <= LONGEST
    assert found.encode().decode() == found


def test_printable_text_stays_as_it_is() -> None:
    assert clean("/straße/{id} – 東京") == "/straße/{id} – 東京"


@pytest.mark.parametrize(
    ("pids", "of", "expected"),
    [
        pytest.param([7], 1, "", id="there-is-one"),
        pytest.param([], 3, "", id="none"),
        pytest.param([7, 8], 2, "in both workers", id="both"),
        pytest.param([7, 8, 9], 3, "in all 3 workers", id="all"),
        pytest.param([7], 3, "in 1 of 3 workers (7)", id="one"),
        pytest.param([5, 6, 7, 8], 9, "in 4 of 9 workers (5, 6, 7, …)", id="many"),
    ],
)
def test_workers_are_named_as_far_as_it_helps(pids: list[int], of: int, expected: str) -> None:
    assert whose(pids, of=of) == expected
