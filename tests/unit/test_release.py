"""Who is speaking."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from zdlife import Release


def test_three_names_go_with_every_probe_report_and_metric() -> None:
    assert Release("shop", "1.4", "shop-7", "production").as_dict() == {
        "service": "shop",
        "version": "1.4",
        "instance": "shop-7",
    }


def test_a_release_is_not_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Release("shop", "1.4", "shop-7").version = "1.5"  # type: ignore[misc]


def test_releases_with_the_same_names_are_the_same() -> None:
    assert len({Release("shop", "1.4", "shop-7"), Release("shop", "1.4", "shop-7")}) == 1
