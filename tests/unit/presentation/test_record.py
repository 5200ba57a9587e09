"""The object of --json has the keys it promises, whatever came of the run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

from zdlife.rehearsal.record import record
from zdlife.rehearsal.result import Run, Trial

Make = Callable[..., Run]
Chill = Callable[..., Run]
KEYS = {
    "verdict",
    "server",
    "balancer",
    "rolls",
    "requests",
    "streams",
    "uploads",
    "late_arrivals",
    "cold",
    "instances",
    "by_release",
    "control",
}


def test_one_trial_is_one_object_with_exactly_the_promised_keys(make_run: Make) -> None:
    written = record([Trial(make_run(), make_run(with_zdlife=False))])
    assert written.keys() == KEYS
    assert written["control"].keys() == KEYS
    assert written["control"]["control"] is None
    assert written["requests"].keys() == {"sent", "ok", "failed", "by_failure"}
    assert {frozenset(instance) for instance in written["instances"]} == {frozenset({"release", "exit_code", "phases"})}


def test_several_trials_are_one_object_with_runs(make_run: Make) -> None:
    written = record([Trial(make_run()), Trial(make_run(server="uvicorn", losing=True))])
    assert written["verdict"] == "requests lost"
    assert [run["server"] for run in written["runs"]] == ["gunicorn-sync", "uvicorn"]
    assert all(run.keys() == KEYS for run in written["runs"])


def test_it_survives_json_and_its_figures_add_up(make_run: Make) -> None:
    run = make_run(with_zdlife=False)
    written = json.loads(json.dumps(record([Trial(run)])))
    assert written["verdict"] == "requests lost"
    assert written["requests"]["sent"] == written["requests"]["ok"] + written["requests"]["failed"]
    assert sum(written["requests"]["by_failure"].values()) == written["requests"]["failed"]
    assert sum(part["sent"] for part in written["by_release"].values()) == written["requests"]["sent"]


def test_an_aborted_run_has_all_keys_too(make_run: Make) -> None:
    written = record([Trial(replace(make_run(), requests=(), instances=(), aborted="not ready"))])
    assert written.keys() == KEYS
    assert written["verdict"] == "aborted"


def test_requests_that_were_served_cold_are_counted_with_the_worst(make_run: Make, chill: Chill) -> None:
    written = record([Trial(chill(make_run(), 0.5, 1.25, math.inf))])
    assert written["verdict"] == "served cold"
    assert written["cold"] == {"count": 3, "worst": 1.25, "known": True}
    json.dumps(written, allow_nan=False)


def test_none_served_cold_is_told_apart_from_nobody_knowing(make_run: Make) -> None:
    written = record([Trial(make_run(), make_run(with_zdlife=False))])
    assert written["cold"] == {"count": 0, "worst": None, "known": True}
    assert written["control"]["cold"] == {"count": 0, "worst": None, "known": False}
