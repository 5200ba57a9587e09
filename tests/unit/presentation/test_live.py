"""The view says what is going on, on a terminal and off it, and never breaks its width."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from zdlife.rehearsal.live import LiveView, PlainView, draw, view_on
from zdlife.rehearsal.result import Run, Snapshot

Make = Callable[..., Run]
Chill = Callable[..., Run]
Film = Callable[..., Iterator[Snapshot]]


def plain(run: Run, film: Film, *, runs: int = 1) -> list[str]:
    """Return the lines that are printed for a run where there is no terminal."""
    out = io.StringIO()
    with view_on(Console(file=out), runs=runs) as view:
        for snapshot in film(run):
            view.show(snapshot)
        view.finish(run)
    return out.getvalue().splitlines()


def picture(film: list[Snapshot], *, width: int, height: int) -> str:
    """Return what the terminal shows."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(draw(film, width=width, height=height, place=""))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_gets_the_moving_view_and_a_pipe_plain_lines() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm-256color"})
    assert isinstance(view_on(terminal, runs=1), LiveView)
    assert isinstance(view_on(Console(file=io.StringIO()), runs=1), PlainView)


def test_a_terminal_without_cursor_gets_plain_lines() -> None:
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(view_on(dumb, runs=1), PlainView)


def test_plain_lines_hold_no_control_characters(make_run: Make, make_film: Film) -> None:
    assert "\x1b" not in "".join(plain(make_run(with_zdlife=False), make_film))


def test_every_change_of_phase_is_said_once(make_run: Make, make_film: Film) -> None:
    lines = plain(make_run(), make_film)
    assert sum("shop-old-1 (1.0) is settling" in line for line in lines) == 1
    assert sum("shop-old-1, shop-old-2 (1.0) are ready" in line for line in lines) == 1


def test_losses_are_said_while_they_happen_and_at_the_end(make_run: Make, make_film: Film) -> None:
    run = make_run(with_zdlife=False)
    lines = plain(run, make_film)
    assert any("lost so far: " in line and "refused" in line for line in lines)
    assert lines[-1].startswith(f"✕ gunicorn-sync behind direct, without zdlife: {len(run.failed)} of ")


def test_silence_is_broken_now_and_then(make_run: Make, make_film: Film) -> None:
    [first, *_] = make_film(make_run())
    out = io.StringIO()
    view = PlainView(Console(file=out), runs=1)
    for second in range(25):
        view.show(Snapshot(**{name: getattr(first, name) for name in first.__slots__} | {"at": float(second)}))
    assert out.getvalue().count("in progress") == 2


def test_the_place_in_the_matrix_is_named_only_if_there_is_one(make_run: Make, make_film: Film) -> None:
    assert plain(make_run(), make_film, runs=16)[0].endswith("with zdlife, run 1 of 16")
    assert plain(make_run(), make_film)[0].endswith("with zdlife")


@settings(max_examples=25, deadline=None)
@given(width=st.integers(60, 200), height=st.integers(12, 60), share=st.floats(0.01, 1.0))
def test_the_picture_fits_the_terminal(make_run: Make, make_film: Film, width: int, height: int, share: float) -> None:
    film = list(make_film(make_run(with_zdlife=False)))
    lines = picture(film[: max(1, int(len(film) * share))], width=width, height=height).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    assert len(lines) <= height + 3


def test_an_instance_that_has_left_stays_in_the_picture(make_run: Make, make_film: Film) -> None:
    film = list(make_film(make_run()))
    last = film[-1]
    without = Snapshot(**{name: getattr(last, name) for name in last.__slots__} | {"instances": last.instances[1:]})
    shown = picture([*film[:-1], without], width=100, height=40)
    assert any("shop-old-1" in line and line.rstrip().endswith("stopped") for line in shown.splitlines())


@pytest.mark.parametrize("losing", [pytest.param(True, id="losing"), pytest.param(False, id="not-losing")])
def test_the_figure_at_the_head_is_what_was_lost(make_run: Make, make_film: Film, *, losing: bool) -> None:
    run = make_run(losing=losing)
    head = picture(list(make_film(run)), width=100, height=40).splitlines()[0]
    assert head.strip().startswith(f"{len(run.failed)} lost")


def test_each_finished_run_leaves_one_line_on_a_terminal(make_run: Make, make_film: Film) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=150, _environ={"TERM": "xterm-256color"})
    with view_on(console, runs=2) as view:
        for run in (make_run(), make_run(with_zdlife=False)):
            for snapshot in make_film(run, every=4.0):
                view.show(snapshot)
            view.finish(run)
    assert out.getvalue().count("behind direct, with zdlife: ") == 1
    assert out.getvalue().count("behind direct, without zdlife: ") == 1


def test_a_run_that_served_cold_does_not_end_with_a_tick(make_run: Make, make_film: Film, chill: Chill) -> None:
    ending = plain(chill(make_run(), 0.5), make_film)[-1]
    assert ending.startswith("✕ gunicorn-sync behind direct, with zdlife: 0 of ")
    assert ending.endswith("(1 request was served cold)")
