"""There and back, one instance at a time."""

from __future__ import annotations

import pytest

from zdlife.rehearsal.strategies import there_and_back

OLD, NEW = "old", "new"


@pytest.mark.parametrize(
    ("rolls", "instances", "expected"),
    [
        pytest.param(4, 2, [NEW, NEW, OLD, OLD], id="the whole fleet, there and back"),
        pytest.param(4, 4, [NEW, NEW, OLD, OLD], id="a part of the fleet, and back"),
        pytest.param(8, 2, [NEW, NEW, OLD, OLD] * 2, id="there and back twice"),
        pytest.param(2, 1, [NEW, OLD], id="a fleet of one"),
        pytest.param(5, 2, [NEW, NEW, OLD, OLD, NEW], id="an odd number"),
        pytest.param(1, 3, [NEW], id="one replacement"),
    ],
)
def test_half_of_the_replacements_go_back(rolls: int, instances: int, expected: list[str]) -> None:
    assert list(there_and_back(rolls=rolls, instances=instances)) == expected


@pytest.mark.parametrize("instances", range(1, 6))
@pytest.mark.parametrize("rolls", range(1, 20))
def test_there_is_always_an_instance_to_replace(rolls: int, instances: int) -> None:
    fleet = [OLD] * instances
    for release in there_and_back(rolls=rolls, instances=instances):
        fleet.remove(NEW if release == OLD else OLD)
        fleet.append(release)
    assert len(fleet) == instances
