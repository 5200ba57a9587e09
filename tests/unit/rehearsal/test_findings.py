"""A finding names the cause, and the knob with the number to write."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from zdlife.rehearsal.findings import Evidence, findings, settle_to_outlast
from zdlife.rehearsal.ledger import Heard, Told
from zdlife.rehearsal.plan import App, BalancerName, Plan, Times
from zdlife.rehearsal.result import InstanceRun, Kind, Outcome, PhaseSpan, Request

TIMES = Times(settle=2.0, settle_quiet=0.5, settle_max=2.0, drain=4.0, cleanup=1.0, grace=10.0)
PLAN = Plan(app=App(asgi="shop:app"), settings=TIMES)


def instance(name: str = "shop-old-1", *, told: float | None = 10.0, settled: bool = True) -> InstanceRun:
    phases = [PhaseSpan("ready", 1.0, 10.0)]
    if settled:
        phases += [PhaseSpan("settling", 10.0, 12.0), PhaseSpan("draining", 12.0, 12.5)]
    else:
        phases += [PhaseSpan("stopping", 10.0, 12.5)]
    return InstanceRun(name, "1", tuple(phases), 0, told_to_stop_at=told)


def request(id: str, at: float, outcome: Outcome = Outcome.REFUSED, *, of: str | None = "shop-old-1") -> Request:
    return Request(id, Kind.NEW_CONNECTION, at, 0.1, outcome, instance=of, detail="connection refused")


def evidence(*requests: Request, instances: tuple[InstanceRun, ...] = (instance(),)) -> Evidence:
    return Evidence(
        plan=PLAN,
        balancer="direct",
        with_zdlife=True,
        requests=requests,
        heard={r.id: Heard(r.at, r.at + r.seconds, r.outcome, r.status) for r in requests},
        told={r.id: Told(begun=1, done=1, status=200) for r in requests if r.outcome is Outcome.OK},
        instances=instances,
        websockets={},
    )


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert findings(evidence(request("1", 11.0, Outcome.OK))) == ()


def test_a_settle_shorter_than_the_lag_is_named_with_the_settle_to_set() -> None:
    (finding,) = findings(evidence(request("1", 12.3), request("2", 13.4)))
    assert finding.startswith("requests arrived up to 1.4 s after the settle of shop-old-1 ended, and 2 that came")
    assert "raise ZDLIFE_SETTLE to 4 " in finding
    assert "ZDLIFE_SETTLE_MAX to at least as much" in finding


def test_the_settle_advised_outlasts_the_latest_request_by_a_tenth() -> None:
    assert settle_to_outlast(3.4) == 4.0
    assert settle_to_outlast(0.1) == 0.5


def test_a_settle_that_breaks_the_grace_period_says_how_long_that_must_be() -> None:
    (finding,) = findings(evidence(request("1", 16.0)))
    assert "raise ZDLIFE_SETTLE to 7 " in finding
    assert "the grace period and ZDLIFE_GRACE to 12" in finding


def test_a_balancer_that_never_stops_sending_is_not_answered_with_a_longer_settle() -> None:
    (finding,) = findings(replace(evidence(request("1", 13.4)), balancer="nginx"))
    assert "ZDLIFE_SETTLE" not in finding
    assert "never stops sending" in finding


def test_several_instances_with_one_cause_are_one_sentence_on_the_worst() -> None:
    late = [request("1", 12.3), request("2", 13.4, of="shop-old-2")]
    (finding,) = findings(evidence(*late, instances=(instance(), instance("shop-old-2"))))
    assert "1.4 s after the settle of shop-old-2 ended, and 2 that came" in finding


def test_a_loss_of_unknown_address_is_put_down_to_the_instance_that_was_leaving() -> None:
    (finding,) = findings(evidence(request("1", 13.4, of=None)))
    assert "the settle of shop-old-1" in finding


def test_a_loss_while_settling_is_not_put_down_to_the_settle() -> None:
    (finding,) = findings(evidence(request("1", 11.0, Outcome.RESET)))
    assert finding.startswith("1 request (1 reset) came before shop-old-1 left, and was lost all the same")


def test_the_bare_application_has_no_settle_to_raise() -> None:
    bare = replace(evidence(request("1", 11.4), instances=(instance(settled=False),)), with_zdlife=False)
    (finding,) = findings(bare)
    assert finding.startswith("requests arrived up to 1.4 s after shop-old-1 was told to stop, and 1 that came")
    assert "without zdlife there is no settle" in finding


def test_a_wrong_answer_of_the_application_is_no_matter_of_the_deploy() -> None:
    wrong = replace(request("1", 11.0, Outcome.WRONG_STATUS), status=500)
    mine = replace(evidence(wrong), told={"1": Told(begun=1, done=1, status=500)})
    (finding,) = findings(mine)
    assert finding.startswith("the application itself answered GET / wrongly, once")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"killed": True, "exit_code": -9},
            "shop-old-1 had not ended 10 s after the stop signal, and had to be killed",
        ),
        ({"exit_code": -15}, "shop-old-1 ended with exit code -15, so no atexit handler ran"),
        ({"exit_code": 3}, "shop-old-1 ended with exit code 3, and not with 0"),
        ({"exit_code": 1, "told_to_stop_at": None}, "shop-old-1 ended by itself, with exit code 1"),
        ({"workers_lost": 2}, "2 workers of shop-old-1 died"),
        ({"forced": "drain deadline"}, "shop-old-1 had to be ended by zdlife: drain deadline"),
        (
            {"late_arrivals": 3, "latest_arrival": 1.0},
            "requests reached shop-old-1 up to 1.0 s after its settle had ended",
        ),
        (
            {"cut": ({"kind": "request", "method": "GET", "route": "/export", "age": 6.0},)},
            "1 in flight were cut at the end of a drain, the oldest by shop-old-1: request GET /export, 6.0 s old",
        ),
    ],
)
def test_how_an_instance_ended_is_told(change: dict[str, object], expected: str) -> None:
    (finding,) = findings(evidence(instances=(replace(instance(), **change),)))  # type: ignore[arg-type]
    assert finding.startswith(expected)


def test_a_request_that_was_done_twice_is_told() -> None:
    (finding,) = findings(evidence(request("1", 11.0, Outcome.DONE_TWICE)))
    assert finding.startswith("1 request was done twice (GET / for one)")


def test_websockets_without_a_goodbye_are_told() -> None:
    (finding,) = findings(replace(evidence(), websockets={"1012": 2, "1006": 3}))
    assert finding.startswith("3 WebSockets were cut without a close frame")


def test_an_answer_that_the_application_never_gave_is_told() -> None:
    (finding,) = findings(replace(evidence(request("1", 11.0, Outcome.OK)), told={}))
    assert "did not say that it had finished them" in finding


def test_a_load_that_was_late_itself_is_told() -> None:
    late = evidence(request("1", 5.0, Outcome.OK))
    (finding,) = findings(replace(late, heard={"1": Heard(6.0, 6.1, Outcome.OK)}))
    assert finding.startswith("the load itself was up to 1.0 s late, once")


def cold(id: str, seconds: float, *, of: str = "shop-new-1") -> Request:
    return replace(request(id, 5.0, Outcome.OK, of=of), cold=seconds)


def test_requests_that_were_served_cold_are_one_sentence_on_the_worst_worker() -> None:
    early = evidence(cold("1", 0.4, of="shop-old-1"), cold("2", 1.36), request("3", 5.0, Outcome.OK))
    (finding,) = findings(early)
    assert finding.startswith(
        "2 requests were served cold, at worst by a worker of shop-new-1, 1.4 s before it was ready"
    )


def test_a_worker_that_never_was_ready_is_worse_than_one_that_was_later() -> None:
    (finding,) = findings(evidence(cold("1", 1.4, of="shop-old-1"), cold("2", math.inf)))
    assert "at worst by a worker of shop-new-1 that never was ready" in finding


@pytest.mark.parametrize(
    ("balancer", "plan", "expected"),
    [
        pytest.param("direct", PLAN, "lifespan of an ASGI application", id="a worker that was replaced"),
        pytest.param("nginx", PLAN, "put an instance on its list once it is ready", id="a balancer that does not ask"),
        pytest.param(
            "direct",
            PLAN.model_copy(update={"app": App(asgi="shop:app", health="/")}),
            "the plan takes / for the answer that an instance is ready: let health in [app] be /readyz",
            id="a health path that says nothing of readiness",
        ),
        pytest.param(
            "direct",
            PLAN.model_copy(update={"app": App(asgi="shop:app", env={"ZDLIFE_READY_WORKERS": "1"})}),
            "with ZDLIFE_READY_WORKERS an instance is ready before all of its workers are",
            id="an instance that does not wait for all",
        ),
    ],
)
def test_what_is_to_be_done_about_cold_requests_depends_on_why_they_came(
    balancer: BalancerName, plan: Plan, expected: str
) -> None:
    (finding,) = findings(replace(evidence(cold("1", 1.4)), balancer=balancer, plan=plan))
    assert finding.startswith("1 request was served cold")
    assert expected in finding
