"""Every interleaving of signals, probes, requests, worker deaths and time, up to a stated depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from unit.machine.exploration import LIMITS, Broken, explore
from zdlife.machine.phases import GUARDS, TABLE, Guard, Phase, Row
from zdlife.machine.settle import Limits

DEPTH = 10


def without(guard: Guard) -> tuple[Row, ...]:
    """Return the table with one guard taken out of every row that has it: those rows then always hold."""
    return tuple(replace(row, guard=None) if row.guard is guard else row for row in TABLE)


def test_every_promise_holds_in_every_interleaving() -> None:
    walk = explore(depth=DEPTH)

    assert walk.worlds > 100_000
    assert walk.phases == frozenset(Phase)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_no_guard_can_be_removed(guard: Guard) -> None:
    with pytest.raises(Broken):
        explore(depth=DEPTH, table=without(guard))


def test_every_guard_of_the_table_is_listed() -> None:
    assert {row.guard for row in TABLE} - {None} == set(GUARDS)


def test_every_row_is_reached() -> None:
    reached: set[Row] = set()

    class Watched(Sequence[Row]):
        def __len__(self) -> int:
            return len(TABLE)

        def __getitem__(self, index: int) -> Row:  # type: ignore[override]  # slices are not asked for
            reached.add(TABLE[index])
            return TABLE[index]

    explore(depth=8, table=Watched())

    assert set(TABLE) - reached == set()


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(replace(LIMITS, settle=0, settle_max=0), id="no settle"),
        pytest.param(replace(LIMITS, drain=0, cleanup=0), id="no drain"),
        pytest.param(replace(LIMITS, grace=3), id="a grace too short"),
        pytest.param(replace(LIMITS, settle=5, settle_max=9, grace=4), id="a settle longer than the grace"),
        pytest.param(replace(LIMITS, drain=9), id="a drain longer than the grace"),
    ],
)
def test_the_promises_hold_with_other_times_too(limits: Limits) -> None:
    explore(depth=8, limits=limits)
