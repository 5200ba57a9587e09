"""The status page on a terminal: the same words, in as many columns as there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from zdlife.palette import BAD, CAUTION, GOOD, PHASES, RELEASES, UNKNOWN, Ink, phase_ink
from zdlife.probes.overview import Budget, Overview, Remark, Span
from zdlife.probes.rows import Beat, CheckRow, Flights, Mark, WarmerRow, Workers

LEVELS = "▁▂▃▄▅▆▇█"
VERDICTS = {"good": GOOD, "caution": CAUTION, "bad": BAD, "faint": UNKNOWN}
WIDEST = 120
BAR = 20
SHOWN_FLIGHTS = 10
COLUMNS_OF_A_RICH_TABLE = 100
"""Columns from which on a table has those that one can do without."""


def view(seen: Overview, *, width: int) -> RenderableType:
    """Return everything that is seen, for a terminal of `width` columns."""
    columns = min(width, WIDEST) - 2
    roomy = columns >= COLUMNS_OF_A_RICH_TABLE
    parts: list[RenderableType] = [
        _head(seen, columns=columns),
        *_reasons(seen.reasons),
    ]
    if seen.phases:
        parts += [_section("phases", ""), _phases(seen.phases, columns=columns)]
    if seen.checks:
        parts += [_section("checks", ""), _checks(seen.checks, roomy=roomy)]
    parts.append(_section("in flight", seen.flights.sentence))
    if seen.flights.rows:
        parts += [*_flights(seen.flights, roomy=roomy)]
    if seen.warmers:
        parts += [_section("warmers", ""), _warmers(seen.warmers)]
    parts += [_section("workers", seen.workers.sentence, mark=seen.workers.mark), *_workers(seen.workers, roomy=roomy)]
    parts += [_section("leaving", seen.budget.sentence, mark=seen.budget.mark), *_budget(seen.budget, columns=columns)]
    return Padding(Group(*parts), (0, 1), expand=False)


def line(seen: Overview) -> str:
    """Return the instance in one line, for where there is no terminal: a pipe, a file."""
    about = f"{seen.service} {seen.version} {seen.instance}"
    reasons = "".join(f"; {remark.text}" for remark in seen.reasons)
    return f"{seen.headline}: {about}, {seen.phase}, workers {seen.workers.sentence}{reasons}"


def _head(seen: Overview, *, columns: int) -> RenderableType:
    ink = VERDICTS[seen.mark.tone]
    name = Text.assemble(
        (f" {seen.mark.glyph} {seen.headline.upper()} ", f"bold {ink.on_light} on {ink.light}"),
        "  ",
        (f"{seen.service} {seen.version}", "bold"),
        f"  {seen.instance}",
    )
    about = Text(" · ".join([seen.lead, *seen.about]), "dim")
    asked = Text(seen.asked, "dim")
    return (
        Group(name, about, asked)
        if columns < about.cell_len + 3 + asked.cell_len
        else Group(name, about + Text(" · ", "dim") + asked)
    )


def _reasons(remarks: Sequence[Remark]) -> Iterator[RenderableType]:
    if remarks:
        yield Text("")
    for remark in remarks:
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row(_glyph(remark.mark), Text.assemble(remark.text, (f"  {remark.since}", "dim")))
        yield row


def _section(name: str, sentence: str, *, mark: Mark | None = None) -> RenderableType:
    head = Text.assemble("\n", (name, "bold"))
    if sentence:
        head.append("  ").append(_glyph(mark) if mark else "").append(" " if mark else "").append(sentence, "dim")
    return head


def _phases(spans: Sequence[Span], *, columns: int) -> Text:
    """Return the phases side by side, each wide enough for its words and wider the longer it lasted.

    Where there is too little room, those that are longest ago lose their durations first.
    """
    labels = [f" {span.phase} {span.lasted} " for span in spans]
    for place, span in enumerate(spans[:-1]):
        if sum(map(len, labels)) > columns:
            labels[place] = f" {span.phase} "
    spare = columns - sum(map(len, labels))
    weight = sum(span.weight for span in spans)
    lane = Text()
    for span, label in zip(spans, labels, strict=True):
        ink = phase_ink(span.phase, release=RELEASES[0])
        room = len(label) + max(0, int(spare * span.weight / weight))
        lane.append(_block(label, ink=ink, room=room, bold=span.present))
    lane.truncate(columns)
    return lane


def _block(label: str, *, ink: Ink, room: int, bold: bool = False) -> Text:
    """Return a stretch of a bar: its words on its colour, and its glyph where there is no colour to be seen."""
    shown = label if len(label) <= room else ""
    return Text.assemble(
        (shown, f"{'bold ' if bold else ''}{ink.on_dark} on {ink.dark}"),
        (ink.glyph * (room - len(shown)), f"{ink.dark} on {ink.dark}"),
    )


def _checks(checks: Sequence[CheckRow], *, roomy: bool) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    for check in checks:
        name = Text.assemble(_glyph(check.mark), f" {check.name}", (f"  {check.kind}" if roomy else "", "dim"))
        for said in check.said:
            text = [_verdict(said.mark)] if len(check.said) > 1 else []
            text += [Text(said.whose)] if said.whose else []
            text += [Text(said.since, "dim")] if said.since else []
            about = [Text(" ").join(text)] if text else []
            about += [Text(said.why)] if said.why else []
            table.add_row(name, _runs(said.runs), Text(said.latency), Text("\n").join(about))
            name = Text("")
        if check.rest:
            table.add_row("", "", "", Text(check.rest, "dim"))
    return table


def _runs(runs: Sequence[Beat]) -> Text:
    strip = Text(" " * max(0, BAR - len(runs)))
    for run in runs[-BAR:]:
        plain = run.mark.tone == "good"
        strip.append(LEVELS[min(7, int(run.height * 8))] if plain else run.mark.glyph, VERDICTS[run.mark.tone].dark)
    return strip


def _flights(flights: Flights, *, roomy: bool) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, justify="right")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for flight in flights.rows[:SHOWN_FLIGHTS]:
        age = Text(flight.age, f"bold {CAUTION.dark}" if flight.old else "")
        more = [Text(flight.id, overflow="ellipsis")] if roomy else []
        table.add_row(age, Text(flight.what), Text(flight.kind), *more, Text(f"worker {flight.worker}", "dim"))
    yield table
    hidden = len(flights.rows) - SHOWN_FLIGHTS
    if flights.rest or hidden > 0:
        yield Text(flights.rest if hidden <= 0 else "and more, all younger", "dim")


def _warmers(warmers: Sequence[WarmerRow]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for warmer in warmers:
        name = Text(warmer.name)
        for bar in warmer.bars:
            ink = VERDICTS[bar.mark.tone]
            full = round((bar.share or 0.0) * BAR)
            track = Text.assemble(("━" * full, ink.dark), ("─" * (BAR - full), "dim"))
            said = ", ".join(part for part in (bar.progress, bar.whose, bar.why) if part)
            table.add_row(name, _verdict(bar.mark), track, Text(said))
            name = Text("")
        if warmer.rest:
            table.add_row("", "", "", Text(warmer.rest, "dim"))
    return table


def _workers(workers: Workers, *, roomy: bool) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3 if roomy else 2):
        table.add_column(no_wrap=True)
    for _ in range(4):
        table.add_column(no_wrap=True, justify="right")
    heads = ["worker", "phase", *(["version"] if roomy else []), "requests", "in flight", "oldest", "heartbeat", ""]
    table.add_row(*[Text(head, "dim") for head in heads])
    for worker in workers.rows:
        style = BAD.dark if worker.mark.tone == "bad" else ""
        version = [worker.version] if roomy else []
        cells = [
            worker.phase,
            *version,
            worker.requests,
            str(worker.in_flight),
            worker.oldest,
            worker.beat,
            worker.note,
        ]
        table.add_row(Text.assemble(_glyph(worker.mark), f" {worker.pid}"), *[Text(cell, style) for cell in cells])
    yield table
    if workers.rest:
        yield Text(workers.rest, "dim")


def _budget(budget: Budget, *, columns: int) -> Iterator[RenderableType]:
    bar = Text()
    for part in budget.parts:
        ink = PHASES[part.phase]
        room = max(1, round(part.share * columns))
        full = f" {part.phase} {part.seconds} "
        bar.append(_block(full if len(full) <= room else f" {part.seconds} ", ink=ink, room=room))
    bar.append("·" * (columns - bar.cell_len), "dim")
    bar.truncate(columns)
    if budget.elapsed is not None:
        yield Text(f"{' ' * min(columns - 5, int(budget.elapsed * columns))}▼ now")
    yield bar
    if budget.grace < 1.0:
        yield Text(f"{'SIGKILL ▲':>{max(9, round(budget.grace * columns))}}")
    for misfit in budget.misfits:
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row(_glyph(budget.mark), Text(misfit))
        yield row


def _verdict(mark: Mark) -> Text:
    return Text(f"{mark.glyph} {mark.word}", f"bold {VERDICTS[mark.tone].dark}")


def _glyph(mark: Mark) -> Text:
    return Text(mark.glyph, f"bold {VERDICTS[mark.tone].dark}")
