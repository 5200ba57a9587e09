"""Whether the times of leaving fit the grace period and the server's own deadline."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from zdlife.machine.budget import ServerDeadline, limits_of, misfits
from zdlife.machine.settle import Limits
from zdlife.settings import PROFILES, Profile, Settings

LIMITS = Limits(settle=5, settle_max=10, drain=15, cleanup=3, grace=30)


def test_the_defaults_fit() -> None:
    assert list(misfits(limits_of(Settings(settle=5)))) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_fits(profile: Profile) -> None:
    assert list(misfits(limits_of(Settings(profile=profile)))) == []


def test_exactly_the_grace_period_fits() -> None:
    assert list(misfits(replace(LIMITS, grace=28))) == []


def test_the_longest_settle_counts_and_not_the_least() -> None:
    (found,) = misfits(replace(LIMITS, grace=27.9))

    assert (found.name, found.value, found.needed) == ("ZDLIFE_GRACE", 27.9, 28)


def test_no_settle_needs_no_time_for_one() -> None:
    assert list(misfits(replace(LIMITS, settle=0, grace=18))) == []


def test_the_remedy_fits() -> None:
    (found,) = misfits(replace(LIMITS, grace=20))
    drain, grace = (float(number) for number in re.findall(r"(?:DRAIN to|ZDLIFE_GRACE) ([\d.]+)", found.message))

    assert list(misfits(replace(LIMITS, grace=20, drain=drain))) == []
    assert list(misfits(replace(LIMITS, grace=grace))) == []


def test_a_shorter_drain_is_no_remedy_where_none_would_do() -> None:
    (found,) = misfits(replace(LIMITS, grace=10))

    assert "ZDLIFE_DRAIN" not in found.message
    assert "ZDLIFE_GRACE 28 s" in found.message


@pytest.mark.parametrize(
    ("covers", "needed"),
    [(("drain",), 15), (("drain", "cleanup"), 18), (("settle", "drain", "cleanup"), 28)],
    ids=["drain", "drain-and-cleanup", "all-of-leaving"],
)
def test_the_servers_own_deadline_has_to_leave_room_for_what_it_covers(covers: tuple[str, ...], needed: float) -> None:
    enough = ServerDeadline("graceful_timeout", needed, covers=covers)  # type: ignore[arg-type]
    (found,) = misfits(LIMITS, server=replace(enough, seconds=needed - 0.5))

    assert list(misfits(LIMITS, server=enough)) == []
    assert (found.name, found.value, found.needed) == ("graceful_timeout", needed - 0.5, needed)
    assert f"Set graceful_timeout to {needed}." in found.message


def test_a_misfit_of_the_grace_period_comes_first() -> None:
    found = misfits(replace(LIMITS, grace=20), server=ServerDeadline("graceful_timeout", 1))

    assert [misfit.name for misfit in found] == ["ZDLIFE_GRACE", "graceful_timeout"]


def test_the_cap_of_the_settle_is_never_below_its_least_time() -> None:
    limits = limits_of(Settings(settle=12, settle_max=10))

    assert (limits.settle, limits.settle_max) == (12, 12)
