"""Say at the end what was lost: one table, the result in one line, and what a reader must be told.

One trial gets a column for each side, so that the eye compares along a row. Several get a row each.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from zdlife.rehearsal.palette import LOST, NOTHING_LOST
from zdlife.rehearsal.result import Trial, Verdict
from zdlife.rehearsal.tally import Tally, overall, tally, together
from zdlife.rehearsal.wording import NOTHING, count, details, grouped_remarks, sentence, side


def print_summary(console: Console, *, trials: Sequence[Trial]) -> None:
    """Print the table, the remarks and, last, where the eye stays, the result."""
    if not trials:
        return
    if not console.is_terminal:
        # A pipe has no width of its own; rich would fold the table at 80 columns.
        console = Console(file=console.file, width=max(console.width, 160), color_system=None, legacy_windows=False)
    console.print()
    if len(trials) == 1:
        run = trials[0].run
        console.print(Text(f"{run.server} behind {run.balancer}, {run.rolls} replacements", "bold"))
    console.print(side_by_side(trials[0]) if len(trials) == 1 else matrix(trials, width=console.width))
    for remark in grouped_remarks(trials):
        console.print(Padding(Text(remark), (0, 0, 1, 2)))
    console.print(result(trials))


def result(trials: Sequence[Trial]) -> RenderableType:
    """Return the last lines: `0 LOST` or `12 COLD` at a glance, with its confidence, and the control below it."""
    counts = together(trial.run for trial in trials)
    outcome = overall(trials)
    ground = NOTHING_LOST.light if outcome == "nothing lost" else LOST.light
    badge = _badge(outcome, trials)
    over = f", over {len(trials)} runs" if len(trials) > 1 else ""
    lines = Table.grid(padding=(0, 2, 0, 0))
    own = f"{side(with_zdlife=trials[0].run.with_zdlife)}:"
    lines.add_row(Text(f" {badge} ", f"bold white on {ground}"), own, Text(f"{sentence(counts)}{over}", "bold"))
    controls = [trial.control for trial in trials if trial.control is not None]
    if controls:
        lines.add_row("", f"{side(with_zdlife=False)}:", sentence(together(controls)))
    return lines


def _badge(outcome: Verdict, trials: Sequence[Trial]) -> str:
    match outcome:
        case "aborted":
            return "ABORTED"
        case "served cold":
            return f"{count(sum(len(trial.run.cold) for trial in trials))} COLD"
        case "nothing lost" | "requests lost":
            return f"{count(together(trial.run for trial in trials).failed)} LOST"


def side_by_side(trial: Trial) -> Table:
    """Return one trial: a row for each figure, a column for each run."""
    runs = [trial.run] if trial.control is None else [trial.run, trial.control]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for each in runs:
        table.add_column(side(with_zdlife=each.with_zdlife), justify="right")
    counts = [tally(each.requests) for each in runs]
    table.add_row("requests sent", *[count(c.sent) for c in counts])
    table.add_row("ok", *[count(c.ok) for c in counts])
    table.add_row(Text("lost", "bold"), *[_lost(c) for c in counts])
    for name in dict.fromkeys(name for c in counts for name in c.by_failure):
        table.add_row(f"  {name}", *[_or_nothing(c.by_failure.get(name, 0)) for c in counts])
    for label, cells in details(runs):
        table.add_row(label, *cells)
    return table


def matrix(trials: Sequence[Trial], *, width: int) -> RenderableType:
    """Return several trials: a row for each, what was lost with and without zdlife side by side.

    The columns that do not fit become a table of their own.
    """
    left = [_SENT, _OK, _LOST]
    if any(trial.control is not None for trial in trials):
        left.append(_WITHOUT)
    left += [(label, partial(_detail, place)) for place, (label, _) in enumerate(details([]))]
    tables = []
    while left:
        fitting = [n for n in range(1, len(left) + 1) if _breadth(_rows(trials, columns=left[:n])) <= width]
        many = max(fitting, default=1)
        tables.append(_rows(trials, columns=left[:many]))
        left = left[many:]
    return Group(*tables)


def _breadth(table: Table) -> int:
    """Return how many columns of a terminal a table takes when nothing in it is folded."""
    return Console(file=io.StringIO(), width=1000).measure(table).maximum


def _rows(trials: Sequence[Trial], *, columns: Sequence[Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("server", no_wrap=True)
    table.add_column("balancer", no_wrap=True)
    for name, _ in columns:
        table.add_column(name, justify="right", min_width=max(map(len, name.split())))
    for trial in trials:
        table.add_row(trial.run.server, trial.run.balancer, *[cell(trial) for _, cell in columns])
    return table


def _detail(place: int, trial: Trial) -> str:
    return list(details([trial.run]))[place][1][0]


def _with_failures(trial: Trial) -> Text:
    counts = tally(trial.run.requests)
    lost = _lost(counts)
    for name, number in counts.by_failure.items():
        lost.append(f"\n{count(number)} {name}", "not bold default")
    return lost


def _control(trial: Trial) -> str:
    if trial.control is None:
        return NOTHING
    counts = tally(trial.control.requests)
    return f"{count(counts.failed)} of {count(counts.sent)}"


Column = tuple[str, Callable[[Trial], str | Text]]
_SENT: Column = ("sent", lambda trial: count(len(trial.run.requests)))
_OK: Column = ("ok", lambda trial: count(tally(trial.run.requests).ok))
_LOST: Column = ("lost", _with_failures)
_WITHOUT: Column = ("lost without zdlife", _control)


def _lost(counts: Tally) -> Text:
    if not counts.sent:
        return Text(NOTHING)
    return Text(count(counts.failed), f"bold {(LOST if counts.failed else NOTHING_LOST).dark}")


def _or_nothing(number: int) -> str:
    return count(number) if number else NOTHING
