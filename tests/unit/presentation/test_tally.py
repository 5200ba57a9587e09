"""The counts add up, and the words never promise more than they hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdlife.rehearsal.result import Kind, Outcome, Request, Run, Trial
from zdlife.rehearsal.tally import Tally, by_kind, by_release, cold, exit_codes, late_arrivals, overall, tally, together
from zdlife.rehearsal.wording import failures, grouped_remarks, percent, remarks, sentence

Make = Callable[..., Run]
Chill = Callable[..., Run]

requests = st.lists(
    st.builds(
        Request,
        id=st.uuids().map(str),
        kind=st.sampled_from(Kind),
        at=st.floats(0, 100),
        seconds=st.floats(0, 10),
        outcome=st.sampled_from(Outcome),
        release=st.sampled_from([None, "1.0", "2.0", "unknown"]),
    ),
    max_size=60,
)


@given(sent=requests)
def test_every_request_is_either_ok_or_lost(sent: list[Request]) -> None:
    counts = tally(sent)
    assert counts.sent == len(sent) == counts.ok + counts.failed
    assert counts.ok == sum(request.outcome is Outcome.OK for request in sent)


@given(sent=requests)
def test_the_groups_add_up_to_the_whole(make_run: Make, sent: list[Request]) -> None:
    run = replace(make_run(rate=1.0), requests=tuple(sent))
    whole = tally(sent)
    for groups in (by_kind(run).values(), by_release(run).values()):
        assert sum(group.sent for group in groups) == whole.sent
        assert sum(group.failed for group in groups) == whole.failed
        for name, number in whole.by_failure.items():
            assert sum(group.by_failure.get(name, 0) for group in groups) == number


@given(one=requests, two=requests)
def test_runs_together_are_the_sum_of_the_runs(make_run: Make, one: list[Request], two: list[Request]) -> None:
    run = make_run(rate=1.0)
    both = together([replace(run, requests=tuple(one)), replace(run, requests=tuple(two))])
    assert both.sent == len(one) + len(two)
    assert both.failed == tally(one).failed + tally(two).failed


@given(share=st.floats(0, 1))
def test_a_percentage_is_never_below_the_share(share: float) -> None:
    assert float(percent(share).removesuffix(" %")) >= share * 100 * (1 - 1e-12)


def test_nothing_lost_is_said_with_its_bound() -> None:
    assert sentence(Tally(3412, {})) == "0 of 3,412 lost; at most 0.09 % at 95 % confidence"


def test_losses_are_said_with_their_share() -> None:
    assert sentence(Tally(1000, {"reset": 54})).startswith("54 of 1,000 lost (5.4 %); at most ")


def test_no_request_is_no_result() -> None:
    assert sentence(Tally(0, {})) == "no request was sent, so nothing is shown"


def test_failures_come_with_the_most_frequent_first() -> None:
    assert failures({"reset": 2, "refused": 1056}) == "1,056 refused, 2 reset"


def test_a_run_that_sent_nothing_is_no_success(make_run: Make) -> None:
    empty = replace(make_run(), requests=())
    assert overall([Trial(empty)]) == "aborted"
    assert overall([]) == "aborted"


def test_a_control_that_loses_does_not_spoil_the_verdict(make_run: Make) -> None:
    assert overall([Trial(make_run(), make_run(with_zdlife=False))]) == "nothing lost"


@pytest.mark.parametrize(
    ("aborted", "losing", "expected"),
    [
        pytest.param(False, True, "requests lost", id="lost"),
        pytest.param(True, False, "aborted", id="aborted"),
    ],
)
def test_one_bad_trial_spoils_the_matrix(make_run: Make, *, aborted: bool, losing: bool, expected: str) -> None:
    bad = replace(make_run(losing=losing), aborted="2.0 never became ready" if aborted else None)
    assert overall([Trial(make_run()), Trial(bad)]) == expected


def test_a_control_that_loses_nothing_is_pointed_out(make_run: Make) -> None:
    trial = Trial(make_run(), make_run(with_zdlife=False, losing=False))
    assert any("shows nothing about zdlife" in remark for remark in remarks(trial))


def test_the_same_remark_is_made_once_and_names_its_trials(make_run: Make) -> None:
    trials = [
        Trial(make_run(server=server), make_run(server=server, with_zdlife=False, losing=False))
        for server in ("uvicorn", "granian")
    ]
    [remark] = grouped_remarks(trials)
    assert remark.startswith("uvicorn behind direct, granian behind direct: ")


def test_findings_and_the_reason_of_an_abort_are_never_left_out(make_run: Make) -> None:
    run = replace(make_run(), findings=("raise ZDLIFE_SETTLE to 3",), aborted="the new release is not ready")
    assert remarks(Trial(run)) == ["Aborted: the new release is not ready", "raise ZDLIFE_SETTLE to 3"]


def test_the_latest_of_all_late_arrivals_is_the_worst(make_run: Make) -> None:
    run = make_run()
    members = [replace(m, late_arrivals=2, latest_arrival=0.5 + n) for n, m in enumerate(run.instances[:2])]
    late = late_arrivals(replace(run, instances=tuple(members)))
    assert (late.count, late.worst) == (4, 1.5)


def test_an_instance_without_exit_code_is_counted(make_run: Make) -> None:
    run = make_run()
    members = (replace(run.instances[0], exit_code=None), *run.instances[1:])
    assert exit_codes(replace(run, instances=members)) == {"0": len(members) - 1, "none": 1}


def test_a_worker_that_never_was_ready_counts_and_has_no_seconds(make_run: Make, chill: Chill) -> None:
    assert (cold(chill(make_run(), math.inf)).count, cold(chill(make_run(), math.inf)).worst) == (1, None)
    assert cold(chill(make_run(), math.inf, 0.5)).worst == 0.5


def test_served_cold_is_worse_than_nothing_lost_and_better_than_a_loss(make_run: Make, chill: Chill) -> None:
    early = chill(make_run(), 0.5)
    assert overall([Trial(make_run()), Trial(early)]) == "served cold"
    assert overall([Trial(early), Trial(make_run(losing=True))]) == "requests lost"
    assert chill(make_run(losing=True), 0.5).verdict == "requests lost"
    assert replace(early, aborted="not ready").verdict == "aborted"
