"""Every request that was asked has exactly one outcome, whatever client and application say."""

from __future__ import annotations

import math

import pytest

from zdlife.rehearsal.judge import TOO_FEW, coldness, too_few, verdicts, weigh
from zdlife.rehearsal.ledger import Asked, Beginning, Heard, Told
from zdlife.rehearsal.result import Kind, Outcome, Request

NEVER, BEGUN = Told(), Told(begun=1, instance="shop-old-1")
DONE, DONE_500 = Told(begun=1, done=1, status=200), Told(begun=1, done=1, status=500)
TWICE = Told(begun=2, done=2, status=200)


@pytest.mark.parametrize(
    ("heard", "status", "told", "expected"),
    [
        (Outcome.OK, 200, DONE, Outcome.OK),
        (Outcome.OK, 200, NEVER, Outcome.OK),
        (Outcome.OK, 200, TWICE, Outcome.DONE_TWICE),
        (Outcome.RESET, None, TWICE, Outcome.DONE_TWICE),
        (Outcome.REFUSED, None, NEVER, Outcome.REFUSED),
        (Outcome.RESET, None, NEVER, Outcome.RESET),
        (Outcome.RESET, None, BEGUN, Outcome.RESET),
        (Outcome.RESET, None, DONE, Outcome.REPLY_LOST),
        (Outcome.TIMED_OUT, None, BEGUN, Outcome.TIMED_OUT),
        (Outcome.TIMED_OUT, None, DONE, Outcome.REPLY_LOST),
        (Outcome.TRUNCATED, 200, BEGUN, Outcome.TRUNCATED),
        (Outcome.TRUNCATED, 200, DONE, Outcome.REPLY_LOST),
        (Outcome.WRONG_STATUS, 500, DONE_500, Outcome.WRONG_STATUS),
        (Outcome.WRONG_STATUS, 502, NEVER, Outcome.WRONG_STATUS),
        (Outcome.WRONG_STATUS, 502, BEGUN, Outcome.WRONG_STATUS),
        (Outcome.WRONG_STATUS, 502, DONE, Outcome.REPLY_LOST),
    ],
)
def test_client_and_application_together_give_one_outcome(
    heard: Outcome, status: int | None, told: Told, expected: Outcome
) -> None:
    outcome, _ = weigh(Heard(1.0, 2.0, heard, status), told)
    assert outcome is expected


def test_what_the_client_saw_of_a_lost_reply_is_kept() -> None:
    _, detail = weigh(Heard(1.0, 2.0, Outcome.RESET, detail="reset by the peer"), DONE)
    assert "reset by the peer" in detail


def asked(*ids: str) -> dict[str, Asked]:
    return {id: Asked(id, Kind.POST, 1.0, "POST", "/basket") for id in ids}


def judged(ids: dict[str, Asked], heard: dict[str, Heard], told: dict[str, Told] | None = None) -> tuple[Request, ...]:
    return verdicts(
        ids,
        heard,
        told or {},
        instances={8001: "shop-old-1"},
        releases={"shop-old-1": "1"},
        arrivals={"shop-old-1": {41: 10.0}},
    )


def test_nothing_is_dropped_from_the_count() -> None:
    heard = {"1": Heard(1.2, 3.0, Outcome.OK), "2": Heard(1.3, 1.4, Outcome.REFUSED, port=8001)}
    requests = judged(asked("1", "2"), heard)
    assert [(request.id, request.outcome) for request in requests] == [("1", Outcome.OK), ("2", Outcome.REFUSED)]


def test_a_request_without_an_end_is_a_fault_and_no_omission() -> None:
    with pytest.raises(AssertionError, match="not the same requests"):
        judged(asked("1", "2"), {"1": Heard(1.2, 3.0, Outcome.OK)})


def test_the_time_of_a_request_counts_from_its_planned_instant() -> None:
    (request,) = judged(asked("1"), {"1": Heard(2.5, 3.0, Outcome.OK)})
    assert request.seconds == 2.0


def test_the_instance_is_whom_the_application_names_or_else_whom_the_client_asked() -> None:
    heard = {"1": Heard(1.0, 2.0, Outcome.RESET, port=8001), "2": Heard(1.0, 2.0, Outcome.RESET, port=9999)}
    first, second = judged(asked("1", "2"), heard, {"2": Told(begun=1, instance="shop-old-1")})
    assert (first.instance, first.release) == ("shop-old-1", "1")
    assert (second.instance, second.release) == ("shop-old-1", "1")


def test_too_few_requests_without_a_loss_are_no_verdict() -> None:
    few = judged(asked("1"), {"1": Heard(1.0, 2.0, Outcome.OK)})
    assert (too_few(few) or "").startswith("too few requests: 1 were sent")
    assert too_few(few * TOO_FEW) is None


def test_a_loss_is_a_loss_however_few_were_sent() -> None:
    assert too_few(judged(asked("1"), {"1": Heard(1.0, 2.0, Outcome.RESET)})) is None


def begun(*beginnings: tuple[int, float], of: str = "shop-old-1") -> Told:
    """Return what the application says of a request that these processes began at these moments."""
    return Told(begun=len(beginnings), beginnings=[Beginning(of, pid, at) for pid, at in beginnings])


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(begun((41, 10.5)), None, id="after its worker was ready"),
        pytest.param(begun((41, 8.5)), 1.5, id="before its worker was ready"),
        pytest.param(begun((41, 9.98)), None, id="at the same moment"),
        pytest.param(begun((42, 10.5)), math.inf, id="in a worker that never was"),
        pytest.param(begun((41, 8.5), (41, 10.5)), 1.5, id="twice, and the first time too early"),
        pytest.param(begun((41, 8.5), of="bare-1"), None, id="in an instance that does not tell"),
        pytest.param(Told(begun=1, instance="shop-old-1"), None, id="in a process that nobody wrote down"),
        pytest.param(NEVER, None, id="not at all"),
    ],
)
def test_a_request_is_cold_that_reached_a_worker_before_it_was_ready(told: Told, expected: float | None) -> None:
    assert coldness(told, {"shop-old-1": {41: 10.0}, "bare-1": {}}) == expected


def test_a_request_that_was_served_cold_ended_as_it_did_all_the_same() -> None:
    (request,) = judged(asked("1"), {"1": Heard(9.0, 9.1, Outcome.OK)}, {"1": begun((41, 9.0))})
    assert (request.outcome, request.cold) == (Outcome.OK, 1.0)


def test_a_request_that_was_served_cold_is_told_however_few_were_sent() -> None:
    assert too_few(judged(asked("1"), {"1": Heard(9.0, 9.1, Outcome.OK)}, {"1": begun((41, 9.0))})) is None
