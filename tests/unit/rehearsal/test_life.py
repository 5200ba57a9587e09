"""An instance's life is that of all its processes together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.life import arrivals_of, read_reports, told_phases
from zdlife.rehearsal.result import PhaseSpan

CLOCK = Clock(began=0.0, began_unix=1000.0)
NAMES = ("starting", "ready", "settling", "draining", "stopping")


def report(*at: float, requests: int = 1) -> dict[str, Any]:
    """Return a report whose phases begin at the times given; the last time is the end."""
    phases = [
        {"phase": name, "at": 1000.0 + begin, "seconds": until - begin, "requests": requests}
        for name, begin, until in zip(NAMES, at[:-1], at[1:], strict=True)
    ]
    return {"kind": "shutdown", "phases": phases}


def test_one_process_has_the_phases_it_reports() -> None:
    assert told_phases([report(1, 2, 5, 7, 8, 9)], CLOCK, told_at=5.0) == tuple(
        PhaseSpan(name, begin, begin + length, 1)
        for name, begin, length in zip(NAMES, (1, 2, 5, 7, 8), (1, 3, 2, 1, 1), strict=True)
    )


def test_an_instance_is_ready_with_its_last_process_and_leaves_with_its_first() -> None:
    phases = told_phases([report(1, 2, 5, 7, 8, 9), report(1.5, 3, 5.5, 7.5, 8.5, 9.5)], CLOCK, told_at=5.0)
    assert [(span.phase, span.at, span.until) for span in phases] == [
        ("starting", 1, 3),
        ("ready", 3, 5),
        ("settling", 5, 7),
        ("draining", 7, 8.5),
        ("stopping", 8.5, pytest.approx(9.5)),
    ]


def test_the_requests_of_all_processes_count() -> None:
    phases = told_phases(
        [report(1, 2, 5, 7, 8, 9, requests=3), report(1, 2, 5, 7, 8, 9, requests=4)], CLOCK, told_at=5.0
    )
    assert [span.requests for span in phases] == [7] * 5


def test_a_worker_that_was_recycled_counts_with_its_requests_alone() -> None:
    recycled = report(1, 2, 3, 3.5, 4, 4.5, requests=10)
    phases = told_phases([recycled, report(1, 2, 5, 7, 8, 9)], CLOCK, told_at=5.0)
    assert [span.at for span in phases] == [1, 2, 5, 7, 8]
    assert [span.requests for span in phases] == [11] * 5


def test_no_report_says_nothing() -> None:
    assert told_phases([], CLOCK, told_at=5.0) == ()


def test_lines_that_are_no_report_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text('{"kind": "else"}\nnonsense\n' + json.dumps(report(1, 2, 5, 7, 8, 9)) + "\n[1]\n")
    assert len(read_reports(file)) == 1
    assert read_reports(tmp_path / "none") == []


def arrival(pid: int, at: float) -> dict[str, Any]:
    return {"kind": "arrival", "pid": pid, "at": 1000.0 + at}


def test_every_worker_says_when_it_was_ready_and_so_does_the_one_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    lines = (arrival(41, 2.0), arrival(42, 2.5), arrival(43, 7.0), report(1, 2, 5, 7, 8, 9))
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert arrivals_of(read_reports(file), CLOCK) == {41: 2.0, 42: 2.5, 43: 7.0}


def test_an_instance_that_reports_no_arrival_says_nothing_of_its_workers() -> None:
    assert arrivals_of([report(1, 2, 5, 7, 8, 9)], CLOCK) == {}
