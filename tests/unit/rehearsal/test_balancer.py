"""The built-in balancer behaves like kube-proxy."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from zdlife.errors import PlanError
from zdlife.rehearsal.balancer import Direct, find
from zdlife.rehearsal.clock import Clock


@dataclass(frozen=True, slots=True)
class Hand(Clock):
    """A clock that stands where it is put."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def put(self, at: float) -> None:
        object.__setattr__(self, "at", at)


def chosen(direct: Direct) -> set[int]:
    return {direct.choose() for _ in range(100)}


def test_every_admitted_instance_is_chosen() -> None:
    direct = Direct(Hand(), lag=1.5, seed=1)
    asyncio.run(direct.admit(8001, 8002))
    assert chosen(direct) == {8001, 8002}


def test_an_instance_that_was_told_to_stop_is_chosen_until_the_lag_is_over() -> None:
    clock = Hand()
    direct = Direct(clock, lag=1.5, seed=1)
    asyncio.run(direct.admit(8001, 8002))
    clock.put(10.0)
    direct.dismiss(8001)
    clock.put(11.4)
    assert chosen(direct) == {8001, 8002}
    clock.put(11.6)
    assert chosen(direct) == {8002}


def test_the_client_can_reach_the_instance_it_wants() -> None:
    assert Direct(Hand(), lag=1.5, seed=1).towards(8002) == 8002


def test_a_program_that_is_missing_is_named_with_what_to_install() -> None:
    with pytest.raises(PlanError, match="no-such-balancer is not installed"):
        find("no-such-balancer")
