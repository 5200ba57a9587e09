"""The drawing leaves no request out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdlife.rehearsal.chart import clusters, description, rates, timeline
from zdlife.rehearsal.result import Kind, Outcome, Request, Run

Make = Callable[..., Run]

moments = st.lists(st.floats(0, 100), max_size=40)


def lost_at(at: float) -> Request:
    return Request(id=str(at), kind=Kind.POST, at=at, seconds=0.1, outcome=Outcome.RESET)


@given(moments=moments)
def test_every_loss_is_in_exactly_one_cluster(moments: list[float]) -> None:
    found = clusters([lost_at(at) for at in moments])
    assert sorted(loss.at for cluster in found for loss in cluster.losses) == sorted(moments)
    assert all(a.until < b.at for a, b in pairwise(found))


@given(moments=moments, end=st.floats(1, 120), step=st.sampled_from([1.0, 2.0, 5.0]))
def test_every_request_is_under_an_area(make_run: Make, moments: list[float], end: float, step: float) -> None:
    answered = [replace(lost_at(at), outcome=Outcome.OK, release="1.0") for at in moments]
    run = replace(make_run(rate=1.0), requests=(*answered, *map(lost_at, moments)))
    layers = rates(run, step=step, end=end)
    assert sum(layers[""]) * step == pytest.approx(len(moments))
    assert sum(sum(layer) for layer in layers.values()) * step == pytest.approx(2 * len(moments))


def test_the_description_says_when_how_many_were_lost(make_run: Make) -> None:
    run = make_run(with_zdlife=False)
    said = description(run)
    assert f"{len(run.failed)} of 2,582 lost" in said
    assert said.count("From second") == len(clusters(run.failed))


def test_the_same_run_is_drawn_the_same(make_run: Make) -> None:
    assert timeline(make_run(), name="t") == timeline(make_run(), name="t")
