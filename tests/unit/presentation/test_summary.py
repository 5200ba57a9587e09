"""The summary says at a glance whether anything was lost, and leaves nothing out."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from zdlife.rehearsal.result import Run, Trial
from zdlife.rehearsal.summary import print_summary

Make = Callable[..., Run]
Chill = Callable[..., Run]


def summary(*trials: Trial) -> str:
    """Return what is printed where there is no terminal."""
    out = io.StringIO()
    print_summary(Console(file=out), trials=trials)
    return out.getvalue()


def test_the_last_lines_are_the_result_of_both_sides(make_run: Make) -> None:
    control = make_run(with_zdlife=False)
    first, second = summary(Trial(make_run(), control)).splitlines()[-2:]
    assert first.startswith(" 0 LOST ")
    assert "0 of 3,202 lost; at most 0.10 % at 95 % confidence" in first
    assert f"without zdlife:  {len(control.failed)} of" in second


def test_losses_are_in_capitals_too(make_run: Make) -> None:
    run = make_run(losing=True)
    assert f" {len(run.failed)} LOST " in summary(Trial(run))


def test_an_abort_is_not_called_zero_lost(make_run: Make) -> None:
    said = summary(Trial(replace(make_run(), aborted="the new release is not ready")))
    assert " ABORTED " in said
    assert "Aborted: the new release is not ready" in said
    assert " 0 LOST" not in said


def test_every_failure_has_its_row(make_run: Make) -> None:
    control = make_run(with_zdlife=False)
    rows = {line.split("  ")[1].strip() for line in summary(Trial(make_run(), control)).splitlines() if "  " in line}
    said = summary(Trial(make_run(), control))
    assert rows
    for name, number in control.by_failure.items():
        assert any(name in line and line.rstrip().endswith(str(number)) for line in said.splitlines())


def test_the_bare_application_alone_is_said_to_be_the_control(make_run: Make) -> None:
    assert "without zdlife: the losses are what the control is there to show" in summary(
        Trial(make_run(with_zdlife=False))
    )


def test_the_matrix_has_a_row_for_each_trial(make_run: Make) -> None:
    trials = [Trial(make_run(server=s, balancer=b)) for s in ("uvicorn", "granian") for b in ("direct", "nginx")]
    said = summary(*trials)
    for trial in trials:
        assert any(
            line.split()[:2] == [trial.run.server, trial.run.balancer] for line in said.splitlines() if line.strip()
        )
    assert "over 4 runs" in said


@pytest.mark.parametrize("width", [80, 84, 100, 130, 200])
def test_the_matrix_is_never_cut_off(make_run: Make, width: int) -> None:
    out = io.StringIO()
    trials = [
        Trial(make_run(server=server), make_run(server=server, with_zdlife=False))
        for server in ("gunicorn-gthread", "gunicorn-uvicorn")
    ]
    console = Console(file=out, force_terminal=True, color_system=None, width=width, _environ={"TERM": "xterm"})
    print_summary(console, trials=trials)
    assert "…" not in out.getvalue()
    for label in ("sent", "lost without zdlife", "whole streams", "cold requests", "websockets", "exit codes"):
        assert label in out.getvalue()


def test_what_an_application_said_is_no_markup(make_run: Make) -> None:
    run = replace(make_run(), findings=("it said [bold]no[/bold] and [/]",))
    assert "[bold]no[/bold] and [/]" in summary(Trial(run))


def test_late_arrivals_are_said_with_the_worst(make_run: Make) -> None:
    run = make_run()
    late = replace(run.instances[0], late_arrivals=3, latest_arrival=1.4)
    assert "3 (by up to 1.4 s)" in summary(Trial(replace(run, instances=(late, *run.instances[1:]))))


def row(said: str, label: str) -> list[str]:
    """Return the cells of the row with that label."""
    [line] = [line for line in said.splitlines() if line.strip().startswith(label)]
    return re.split(r"\s{2,}", line.strip())[1:]


def test_cold_requests_are_a_row_where_the_workers_say_when_they_are_ready(make_run: Make) -> None:
    assert row(summary(Trial(make_run(), make_run(with_zdlife=False))), "cold requests") == ["0", "–"]


def test_cold_requests_are_said_with_the_worst_and_are_no_losses(make_run: Make, chill: Chill) -> None:
    said = summary(Trial(chill(make_run(), 0.5, 1.25)))
    assert row(said, "cold requests") == ["2 (by up to 1.2 s)"]
    assert row(said, "lost") == ["0"]
    assert said.splitlines()[-1].startswith(" 2 COLD ")


def test_a_loss_is_said_before_what_was_served_cold(make_run: Make, chill: Chill) -> None:
    run = chill(make_run(losing=True), 0.5)
    assert f" {len(run.failed)} LOST " in summary(Trial(run))
