"""Show a rehearsal while it runs: a moving timeline on a terminal, one line per change anywhere else.

A view takes every `Snapshot` the engine has, and says one line for each run that has ended.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from zdlife.palette import Ink, phase_ink
from zdlife.rehearsal.palette import LOST, NOTHING_LOST, release_inks
from zdlife.rehearsal.result import InstanceView, Run, Snapshot
from zdlife.rehearsal.tally import tally, verdict
from zdlife.rehearsal.wording import count, failures, sentence, served_cold, side

LEVELS = "▁▂▃▄▅▆▇█"
NARROWEST = 12
FRAME = 0.1
"""Seconds between two drawings; the eye needs no more, and drawing takes from the load's own processor."""
SILENCE = 10.0
"""Seconds after which a line is printed although nothing has changed."""


class View(Protocol):
    """What shows a rehearsal. Used as a context manager around all of its runs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, snapshot: Snapshot) -> None:
        """Take the state of the current run; cheap enough to be called ten times a second."""

    def finish(self, run: Run) -> None:
        """Say how a run ended."""


def view_on(console: Console, *, runs: int) -> View:
    """Return the moving view for a terminal, plain lines for anything else: a pipe, a file, TERM=dumb."""
    moving = console.is_terminal and not console.is_dumb_terminal
    return LiveView(console, runs=runs) if moving else PlainView(console, runs=runs)


class LiveView:
    """The timeline of every instance, the rate and the losses, redrawn in place.

    Each finished run leaves one line above it. Not thread-safe: call it from the loop that runs the engine.
    """

    def __init__(self, console: Console, *, runs: int) -> None:
        self._console = console
        self._runs = runs
        self._finished = 0
        self._film: list[Snapshot] = []
        self._drawn_at = -FRAME
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, snapshot: Snapshot) -> None:
        self._film.append(snapshot)
        if snapshot.at - self._drawn_at >= FRAME:
            self._drawn_at = snapshot.at
            drawing = draw(
                self._film,
                width=self._console.width,
                height=self._console.height,
                place=place_of(self._finished + 1, of=self._runs),
            )
            self._live.update(drawing, refresh=True)

    def finish(self, run: Run) -> None:
        self._finished += 1
        self._film.clear()
        self._drawn_at = -FRAME
        self._live.update(Text(""), refresh=True)
        self._console.print(ending(run))


class PlainView:
    """One line for each step, each change of a phase and each second with new losses."""

    def __init__(self, console: Console, *, runs: int) -> None:
        self._console = console
        self._runs = runs
        self._finished = 0
        self._last: Snapshot | None = None
        self._said_at = 0.0
        self._said_lost = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, snapshot: Snapshot) -> None:
        last, self._last = self._last, snapshot
        if last is None:
            self._say(f"{title(snapshot)}{place_of(self._finished + 1, of=self._runs, before=', ')}")
        news = self._news(last, snapshot)
        for line in news:
            self._say(f"{snapshot.at:6.1f} s  {line:<62}  {counters(snapshot)}")
        if news:
            self._said_at = snapshot.at
            self._said_lost = lost(snapshot)

    def finish(self, run: Run) -> None:
        self._finished += 1
        self._last = None
        self._said_at = 0.0
        self._said_lost = 0
        self._console.print(ending(run), soft_wrap=True)

    def _say(self, line: str) -> None:
        self._console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)

    def _news(self, last: Snapshot | None, now: Snapshot) -> list[str]:
        before = {} if last is None else {i.name: i.phase for i in last.instances}
        news = [] if last is not None and last.step == now.step else [now.step]
        changed = [i for i in now.instances if before.get(i.name) != i.phase]
        for (phase, release), names in _grouped(changed).items():
            news.append(f"  {', '.join(names)} ({release}) {'is' if len(names) == 1 else 'are'} {phase}")
        quiet = now.at - self._said_at
        if not news and lost(now) > self._said_lost and quiet >= 1.0:
            news.append(f"  lost so far: {failures(now.failed)}")
        if not news and quiet >= SILENCE:
            news.append(f"  {now.in_progress} in progress")
        return news


def title(snapshot: Snapshot) -> str:
    """Return what is being rehearsed: `gunicorn-sync behind direct, with zdlife`."""
    return f"{snapshot.server} behind {snapshot.balancer}, {side(with_zdlife=snapshot.with_zdlife)}"


def place_of(number: int, *, of: int, before: str = "") -> str:
    """Return `run 3 of 16`, or nothing when there is only one."""
    return f"{before}run {number} of {of}" if of > 1 else ""


def lost(snapshot: Snapshot) -> int:
    """Return how many requests are known to be lost so far."""
    return sum(snapshot.failed.values())


def counters(snapshot: Snapshot) -> str:
    """Return the figures of a plain line."""
    return f"sent {count(snapshot.sent):>6}   lost {count(lost(snapshot))}"


def ending(run: Run) -> Text:
    """Return the line a finished run leaves behind."""
    outcome = verdict(run)
    ink = NOTHING_LOST if outcome == "nothing lost" else LOST
    counts = tally(run.requests)
    said = sentence(counts) if run.aborted is None else f"aborted: {run.aborted}"
    how = f" ({failures(counts.by_failure)})" if counts.failed else ""
    how += f" ({served_cold(len(run.cold))})" if run.cold else ""
    line = Text.assemble(
        (f"{ink.glyph} ", f"bold {ink.dark}"),
        f"{run.server} behind {run.balancer}, ",
        side(with_zdlife=run.with_zdlife),
    )
    return line.append(": ").append(said, f"bold {ink.dark}").append(how)


def draw(film: Sequence[Snapshot], *, width: int, height: int, place: str) -> RenderableType:
    """Return the picture of a run so far, `film` being its snapshots in order, the newest last."""
    now = film[-1]
    everyone = _everyone(film)
    inks = release_inks(i.release for i in everyone)
    shown = _newest(everyone, at_most=max(2, height - 9))
    margin = max([len(f"{i.name} {i.release}") for i in everyone] + [len("requests/s")])
    columns = max(NARROWEST, min(width, 140) - margin - len("  999 requests/s  "))
    cells = _cells(film, columns=columns)

    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(width=margin, no_wrap=True)
    grid.add_column(width=columns, no_wrap=True)
    grid.add_column(no_wrap=True)
    for instance in shown:
        ink = phase_ink(instance.phase, release=inks[instance.release])
        name = Text.assemble((instance.name, "bold"), (f" {instance.release}", inks[instance.release].dark))
        style = "dim" if instance.phase == "stopped" else f"bold {ink.dark}"
        grid.add_row(name, _strip(instance, cells=cells, release=inks[instance.release]), Text(instance.phase, style))
    if len(shown) < len(everyone):
        grid.add_row(Text(f"and {len(everyone) - len(shown)} more", "dim"), "", "")
    grid.add_row("", "", "")
    grid.add_row(Text("requests/s", "dim"), _spark(cells), Text(f"{now.rate:.0f}/s", "bold"))
    grid.add_row(Text("lost", "dim"), _crosses(cells), Text(count(lost(now)), _lost_style(now)))
    return Group(_head(now, place=place), Text(f"{now.at:.1f} s  {now.step}"), Text(""), grid, Text(""), _foot(now))


def _grouped(instances: Sequence[InstanceView]) -> dict[tuple[str, str], list[str]]:
    """Return the names of the instances by phase and release, so that twins share a line."""
    groups: dict[tuple[str, str], list[str]] = {}
    for instance in instances:
        groups.setdefault((instance.phase, instance.release), []).append(instance.name)
    return groups


def _everyone(film: Sequence[Snapshot]) -> list[InstanceView]:
    """Return every instance that was ever seen, the first first; one that is seen no more has stopped."""
    seen = {i.name: replace(i, phase="stopped") for snapshot in film for i in snapshot.instances}
    return list((seen | {i.name: i for i in film[-1].instances}).values())


def _newest(instances: Sequence[InstanceView], *, at_most: int) -> list[InstanceView]:
    """Return the instances there is room for; those that have left make room first, oldest first."""
    surplus = max(0, len(instances) - at_most)
    gone = [i.name for i in instances if i.phase == "stopped"][:surplus]
    return [i for i in instances if i.name not in gone][:at_most]


def _cells(film: Sequence[Snapshot], *, columns: int) -> list[list[Snapshot]]:
    """Return the snapshots of each column, fitted to the width; an empty cell repeats the last."""
    began, ended = film[0].at, film[-1].at
    # Half a second a column at least, or a young run would be drawn as a few very wide blocks.
    step = max(0.5, (ended - began) / columns)
    starts = [snapshot.at for snapshot in film]
    cells: list[list[Snapshot]] = []
    for number in range(min(columns, int((ended - began) / step) + 1)):
        low = bisect_right(starts, began + number * step - 1e-9)
        high = bisect_right(starts, began + (number + 1) * step - 1e-9)
        cells.append(list(film[low:high]) or [film[max(0, low - 1)]])
    return cells


def _strip(instance: InstanceView, *, cells: Sequence[Sequence[Snapshot]], release: Ink) -> Text:
    strip = Text()
    for cell in cells:
        phases = {i.name: i.phase for i in cell[-1].instances}
        phase = phases.get(instance.name)
        if phase is None or phase == "stopped":
            strip.append(" ")
        else:
            ink = phase_ink(phase, release=release)
            strip.append(ink.glyph, ink.dark)
    return strip


def _spark(cells: Sequence[Sequence[Snapshot]]) -> Text:
    rates = [sum(s.rate for s in cell) / len(cell) for cell in cells]
    top = max([1.0, *rates])
    return Text("".join(LEVELS[min(7, int(rate / top * 7.999))] if rate else " " for rate in rates), "dim")


def _crosses(cells: Sequence[Sequence[Snapshot]]) -> Text:
    row = Text()
    before = 0
    for cell in cells:
        after = lost(cell[-1])
        row.append(LOST.glyph if after > before else "·", f"bold {LOST.dark}" if after > before else "dim")
        before = after
    return row


def _lost_style(snapshot: Snapshot) -> str:
    return f"bold {LOST.dark if lost(snapshot) else NOTHING_LOST.dark}"


def _head(now: Snapshot, *, place: str) -> Text:
    ground = LOST.light if lost(now) else NOTHING_LOST.light
    badge = f" {count(lost(now))} lost "
    head = Text.assemble((badge, f"bold white on {ground}"), "  ", (title(now), "bold"))
    return head.append(f"   {place}", "dim") if place else head


def _foot(now: Snapshot) -> Text:
    figures = f"sent {count(now.sent)}   in progress {count(now.in_progress)}"
    return Text(f"{figures}   {_named(now.failed)}".rstrip(), "dim")


def _named(failed: Mapping[str, int]) -> str:
    return f"lost: {failures(failed)}" if failed else ""
