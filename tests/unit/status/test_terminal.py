"""The terminal says what the page says, in as many columns as there are."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from support.facts import NOW, SITUATIONS, status, timeline
from zdlife.probes.overview import overview
from zdlife.status.terminal import line, view


def shown(situation: str, *, width: int, colour: bool = False) -> str:
    """Return what a terminal of this width is sent."""
    out = io.StringIO()
    system = "truecolor" if colour else None
    console = Console(file=out, width=width, force_terminal=True, color_system=system, _environ={"TERM": "xterm"})
    console.print(view(overview(SITUATIONS[situation]()), width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_line_is_wider_than_the_terminal(situation: str, width: int) -> None:
    assert max(cell_len(row) for row in shown(situation, width=width).splitlines()) <= width


@pytest.mark.parametrize(
    ("situation", "badge"),
    [
        pytest.param("ready", " ✓ READY ", id="ready"),
        pytest.param("degraded", " ! READY, BUT DEGRADED ", id="degraded"),
        pytest.param("unready", " ✕ NOT READY ", id="not-ready"),
        pytest.param("warming", " … NOT READY YET ", id="warming"),
        pytest.param("leaving", " ↓ LEAVING ", id="leaving"),
    ],
)
def test_the_first_line_is_the_verdict(situation: str, badge: str) -> None:
    assert badge in shown(situation, width=80).splitlines()[0]


@pytest.mark.parametrize("width", [80, 120])
def test_everything_that_matters_is_there_without_colour(width: int) -> None:
    said = shown("unready", width=width)
    words = ["Check orders-db fails in all 3 workers", "▃✕✕✕", "✕ 4243", "stuck for", "/reports/yearly", "SIGKILL ▲"]
    assert [word for word in words if word not in said] == []


def test_a_wide_terminal_shows_what_one_can_do_without() -> None:
    assert "r-4243-71" not in shown("unready", width=80)
    assert "r-4243-71" in shown("unready", width=120)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_all_phases_stand_on_one_line(width: int) -> None:
    facts = status(
        timeline=timeline(starting=1.2, warming=3.4, ready=NOW / 2, settling=7.3, draining=4.1, stopping=0.2)
    )
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(view(overview(facts), width=width))
    rows = captured.get().splitlines()
    (place,) = [number for number, row in enumerate(rows) if row.strip() == "phases"]
    assert "starting" in rows[place + 1]
    assert rows[place + 2].strip() == ""
    assert width < 80 or "stopping 200 ms" in rows[place + 1]


def test_what_comes_from_strangers_steers_nothing_and_is_no_markup() -> None:
    said = shown("hostile", width=120)
    assert "\x1b[31m" not in said
    assert "\x07" not in said
    assert "\u202e" not in said
    assert "[bold red]" in said


def test_colour_is_used_where_there_is_colour() -> None:
    assert "\x1b[" in shown("ready", width=80, colour=True)


def test_one_line_has_the_verdict_the_instance_and_the_reasons() -> None:
    assert line(overview(SITUATIONS["leaving"]())) == (
        "Leaving: shop 2026.11.2 shop-7, draining, workers 0 of 3 ready, 3 needed; "
        "It takes no new connections, and finishes what is in flight"
    )


def test_an_instance_that_has_told_no_phase_yet_is_shown_without() -> None:
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as captured:
        console.print(view(overview(status(timeline=[])), width=80))
    assert "phases" not in captured.get()
    assert "✓ READY" in captured.get()
