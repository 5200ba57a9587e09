"""The warden knows which groups are left when nobody speaks to it any more."""

from __future__ import annotations

from zdlife.rehearsal.warden import watch


def test_groups_that_were_started_and_not_buried_are_left() -> None:
    assert watch(["+10\n", "+11\n", "-10\n", "+12\n"]) == {11, 12}


def test_nothing_is_left_of_nothing() -> None:
    assert watch([]) == set()
