"""The shutdown report: what it says of a life, and where it goes."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from zdlife.machine.phases import Event, Machine, Phase, Reading
from zdlife.machine.settle import Limits
from zdlife.process import report
from zdlife.process.report import REMEMBERED, LateArrivals
from zdlife.release import Release

RELEASE = Release("shop", "1.4", "shop-7", "staging")
LIMITS = Limits(settle=5, settle_quiet=2, settle_max=10, drain=15, cleanup=3, grace=30)
CUT = {"kind": "request", "id": "r-1", "method": "GET", "route": "/slow", "age": 15.0, "stack": []}


def compose(machine: Machine, now: float, **given: Any) -> dict[str, Any]:
    """Compose a report on `machine` as it is `now`; what is not given is as in a life without incident."""
    usual: dict[str, Any] = {
        "reading": Reading(begun=9),
        "release": RELEASE,
        "server": "uvicorn",
        "late": LateArrivals(),
        "cut": [],
        "lost_workers": 0,
    }
    return report.compose(machine, now, **(usual | given))


def ended(*, last_arrival: float | None = None) -> Machine:
    """Return a machine that was ready from 1, asked at 10, settled until 15 or later, and stopped at 17."""
    machine = Machine(LIMITS, 0.0)
    machine.receive(Event.LOADED, 1.0, Reading())
    machine.receive(Event.WARMED, 1.0, Reading())
    machine.receive(Event.TERM, 10.0, Reading(begun=5))
    machine.receive(Event.TICK, 16.0, Reading(begun=9, last_arrival=last_arrival))
    machine.receive(Event.LISTENER_LEFT, 16.0, Reading(begun=9))
    machine.receive(Event.SERVER_DONE, 16.5, Reading(begun=9))
    machine.receive(Event.CLEANED_UP, 17.0, Reading(begun=9))
    return machine


def test_it_says_who_speaks() -> None:
    found = compose(ended(), 17.0)

    assert (found["kind"], found["server"], found["environment"]) == ("shutdown", "uvicorn", "staging")
    assert (found["service"], found["version"], found["instance"]) == ("shop", "1.4", "shop-7")


def test_a_life_without_incident_is_clean() -> None:
    found = compose(ended(), 17.0)

    assert (found["clean"], found["cause"], found["forced"]) == (True, "SIGTERM", None)


def test_the_phases_have_their_lengths_and_their_requests() -> None:
    found = compose(ended(), 17.0)["phases"]

    assert [(each["phase"], each["seconds"], each["requests"]) for each in found] == [
        ("starting", 1.0, 0),
        ("warming", 0.0, 0),
        ("ready", 9.0, 5),
        ("settling", 6.0, 4),
        ("draining", 0.5, 0),
        ("stopping", 0.5, 0),
    ]


def test_moments_are_told_in_unix_seconds() -> None:
    before = time.time()
    found = compose(ended(), 17.0)

    assert found["asked_at"] == pytest.approx(before - 7.0, abs=1)
    assert found["phases"][2]["at"] == pytest.approx(before - 16.0, abs=1)


def test_the_report_of_an_instance_nobody_asked_has_no_such_moment() -> None:
    machine = Machine(LIMITS, 0.0)
    machine.receive(Event.SERVER_DONE, 3.0, Reading())
    found = compose(machine, 4.0)

    assert (found["asked_at"], found["settle"]) == (None, {"last_arrival": None})
    assert found["cause"] == Event.SERVER_DONE.value


@pytest.mark.parametrize(
    ("last_arrival", "told"),
    [
        pytest.param(None, None, id="nobody-came"),
        pytest.param(9.0, None, id="before-the-signal"),
        pytest.param(11.5, 1.5, id="while-settling"),
    ],
)
def test_the_last_arrival_of_the_settle_counts_from_the_signal(last_arrival: float | None, told: float | None) -> None:
    assert compose(ended(last_arrival=last_arrival), 17.0)["settle"] == {"last_arrival": told}


@pytest.mark.parametrize(
    "given",
    [{"cut": [CUT]}, {"lost_workers": 1}, {"forced": "drain deadline"}],
    ids=["cut", "lost-worker", "forced-worker"],
)
def test_what_was_cut_lost_or_forced_is_not_clean(given: dict[str, Any]) -> None:
    assert compose(ended(), 17.0, **given)["clean"] is False


def test_what_was_cut_is_named() -> None:
    found = compose(ended(), 17.0, cut=[CUT], lost_workers=2)

    assert (found["cut"], found["workers_lost"]) == ([CUT], 2)


def test_the_masters_own_reason_comes_before_its_workers() -> None:
    machine = Machine(LIMITS, 0.0)
    for event in (Event.LOADED, Event.WARMED, Event.TERM, Event.INTERRUPT, Event.INTERRUPT):
        machine.receive(event, 0.0, Reading())

    found = compose(machine, 1.0, forced="a worker's reason")

    assert found["forced"] == machine.state.forced


def test_the_phase_that_has_no_length_is_left_out() -> None:
    assert Phase.STOPPED not in [each["phase"] for each in compose(ended(), 17.0)["phases"]]


# Late arrivals.


def test_late_arrivals_are_counted_with_the_worst_of_them() -> None:
    late = LateArrivals()
    late.add(delay=0.25, peer="10.0.0.1", method="GET", route="/a")
    late.add(delay=1.5, peer="10.0.0.2", method="POST", route="/b")
    late.add(delay=0.5, peer=None, method=None, route="/feed")

    assert late.as_dict() == {
        "count": 3,
        "worst": 1.5,
        "arrivals": [
            {"delay": 0.25, "peer": "10.0.0.1", "method": "GET", "route": "/a"},
            {"delay": 1.5, "peer": "10.0.0.2", "method": "POST", "route": "/b"},
            {"delay": 0.5, "peer": None, "method": None, "route": "/feed"},
        ],
    }


def test_all_late_arrivals_are_counted_and_the_last_are_remembered() -> None:
    late = LateArrivals()
    for number in range(REMEMBERED + 10):
        late.add(delay=number, peer=None, method="GET", route="/")
    found = late.as_dict()

    assert (found["count"], len(found["arrivals"])) == (REMEMBERED + 10, REMEMBERED)
    assert found["arrivals"][-1]["delay"] == REMEMBERED + 9


def test_what_the_workers_counted_is_added_up() -> None:
    one, other = LateArrivals(), LateArrivals()
    one.add(delay=1.0, peer=None, method="GET", route="/a")
    other.add(delay=2.0, peer=None, method="GET", route="/b")
    one.merge(json.loads(json.dumps(other.as_dict())))

    found = one.as_dict()

    assert (found["count"], found["worst"]) == (2, 2.0)
    assert [each["route"] for each in found["arrivals"]] == ["/a", "/b"]


# Writing.


@pytest.fixture
def clean() -> dict[str, Any]:
    return compose(ended(), 17.0)


@pytest.fixture
def unclean() -> dict[str, Any]:
    return compose(ended(), 17.0, lost_workers=1)


def test_each_report_is_one_line_at_the_end_of_the_file(
    tmp_path: Path, clean: dict[str, Any], unclean: dict[str, Any]
) -> None:
    path = tmp_path / "reports.jsonl"
    report.write(clean, to=path)
    report.write(unclean, to=path)

    assert [json.loads(line) for line in path.read_text().splitlines()] == [clean, unclean]


def test_without_a_file_it_goes_to_standard_error(capsys: pytest.CaptureFixture[str], clean: dict[str, Any]) -> None:
    report.write(clean, to=None)

    assert json.loads(capsys.readouterr().err) == clean


def test_a_clean_end_is_information_and_another_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, clean: dict[str, Any], unclean: dict[str, Any]
) -> None:
    caplog.set_level(logging.INFO, logger="zdlife.report")
    report.write(clean, to=tmp_path / "reports.jsonl")
    report.write(unclean, to=tmp_path / "reports.jsonl")

    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert caplog.records[0].__dict__["zdlife"] == clean


def test_a_report_that_cannot_be_written_is_logged_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, clean: dict[str, Any]
) -> None:
    report.write(clean, to=tmp_path / "no" / "such" / "folder")

    assert caplog.records[-1].levelname == "ERROR"


def test_a_standard_error_that_is_closed_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clean: dict[str, Any], tmp_path: Path
) -> None:
    closed = (tmp_path / "stderr").open("w")
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)

    report.write(clean, to=None)

    assert caplog.records[-1].levelname == "ERROR"


def test_a_process_without_standard_error_stops_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clean: dict[str, Any]
) -> None:
    monkeypatch.setattr("sys.stderr", None)

    report.write(clean, to=None)

    assert caplog.records[-1].levelname == "ERROR"
