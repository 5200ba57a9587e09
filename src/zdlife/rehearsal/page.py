"""Put together what the report says, as values ready to be shown; it knows nothing of HTML but the drawings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from zdlife.palette import RELEASES
from zdlife.rehearsal import chart
from zdlife.rehearsal.palette import LOST, NOTHING_LOST, release_inks
from zdlife.rehearsal.result import Kind, Request, Run, Trial
from zdlife.rehearsal.tally import Tally, by_kind, overall, tally, together
from zdlife.rehearsal.wording import count, details, failures, grouped_remarks, remarks, sentence, served_cold, side
from zdlife.version import __version__

SHOWN_LOSSES = 200
"""How many lost requests are listed one by one; all of them are counted."""
FEW_LOSSES = 20


@dataclass(frozen=True, slots=True)
class Card:
    """The figure one looks at first."""

    side: str
    tone: str
    mark: str
    figure: str
    sentence: str
    how: str
    control: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """The timeline of one run, and its result in three words."""

    side: str
    tone: str
    mark: str
    figure: str
    sent: str
    lost: str
    svg: str


@dataclass(frozen=True, slots=True)
class Cell:
    """The counts of one class of load in one run."""

    sent: str
    ok: str
    lost: str
    tone: str


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of load in each run."""

    name: str
    cells: list[Cell]
    total: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of each run."""

    name: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Legend:
    """What a colour means."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Losses:
    """The lost requests of one run, one by one."""

    heading: str
    open: bool
    rows: Sequence[Request]


@dataclass(frozen=True, slots=True)
class Section:
    """One trial."""

    name: str
    server: str
    balancer: str
    lead: str
    drawings: list[Drawing]
    legend: list[Legend]
    remarks: list[str]
    classes: list[ClassRow]
    failures: list[Row]
    facts: list[Row]
    losses: list[Losses]
    settings: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the page says."""

    headline: str
    lead: str
    subject: str
    when: str
    cards: list[Card]
    remarks: list[str]
    sections: list[Section]
    controlled: bool
    command: str
    version: str


def page_of(trials: Sequence[Trial], *, command: str) -> Page:
    runs = [trial.run for trial in trials]
    controls = [trial.control for trial in trials if trial.control is not None]
    cards = [_card(runs)] + ([_card(controls, control=True)] if controls else [])
    first = runs[0]
    several = len(trials) > 1
    return Page(
        headline=_headline(trials),
        lead=_lead(runs),
        subject=f"{len(trials)} runs" if several else f"{first.server} behind {first.balancer}",
        when=_when(first.began_at),
        cards=cards,
        remarks=grouped_remarks(trials),
        sections=[_section(trial, number=number) for number, trial in enumerate(trials)],
        controlled=bool(controls),
        command=command,
        version=__version__,
    )


def _headline(trials: Sequence[Trial]) -> str:
    counts = together(trial.run for trial in trials)
    match overall(trials):
        case "nothing lost":
            return "Nothing was lost."
        case "served cold":
            return f"Nothing was lost, but {served_cold(_cold(trial.run for trial in trials))}."
        case "requests lost":
            return "1 request was lost." if counts.failed == 1 else f"{count(counts.failed)} requests were lost."
        case "aborted":
            return "The rehearsal was aborted."


def _lead(runs: Sequence[Run]) -> str:
    replaced = sum(run.rolls for run in runs)
    instances = "An instance was" if replaced == 1 else f"{replaced} instances were"
    servers = len({run.server for run in runs})
    where = f" on {servers} servers" if servers > 1 else ""
    load = f"{runs[0].rate:g} requests a second"
    return f"{instances} replaced{where}, to the new release and back, one at a time, under {load}."


def _card(runs: Sequence[Run], *, control: bool = False) -> Card:
    counts = together(runs)
    aborted = any(run.aborted is not None for run in runs) or not counts.sent
    cold = _cold(runs)
    good = not counts.failed and not cold and not aborted
    over = f", over {len(runs)} runs" if len(runs) > 1 else ""
    return Card(
        side=side(with_zdlife=runs[0].with_zdlife),
        tone="good" if good else "bad",
        mark=(NOTHING_LOST if good else LOST).glyph,
        figure=_figure(lost=counts.failed, cold=cold, aborted=aborted),
        sentence=f"{sentence(counts)}{over}",
        how=failures(counts.by_failure) or (served_cold(cold) if cold else ""),
        control=control,
    )


def _figure(*, lost: int, cold: int, aborted: bool) -> str:
    if lost or not (aborted or cold):
        return f"{count(lost)} lost"
    return "aborted" if aborted else f"{count(cold)} cold"


def _cold(runs: Iterable[Run]) -> int:
    return sum(len(run.cold) for run in runs)


def _section(trial: Trial, *, number: int) -> Section:
    runs = [trial.run] if trial.control is None else [trial.run, trial.control]
    run = trial.run
    until = max(chart.extent(each) for each in runs)
    counts = [tally(each.requests) for each in runs]
    return Section(
        name=f"trial-{number}",
        server=run.server,
        balancer=run.balancer,
        lead=f"{run.rolls} replacements in {run.seconds:.0f} s; {sentence(counts[0])}.",
        drawings=[_drawing(each, name=f"t{number}-{place}", until=until) for place, each in enumerate(runs)],
        legend=_legend(runs),
        remarks=remarks(trial),
        classes=_classes(runs),
        failures=[
            Row(name=name, cells=[count(c.by_failure[name]) if name in c.by_failure else "–" for c in counts])
            for name in dict.fromkeys(name for c in counts for name in c.by_failure)
        ],
        facts=[Row(name=name, cells=cells) for name, cells in details(runs)],
        losses=[_losses(each) for each in runs if each.failed],
        settings=_settings(run),
    )


def _drawing(run: Run, *, name: str, until: float) -> Drawing:
    counts = tally(run.requests)
    good = not counts.failed and run.aborted is None
    return Drawing(
        side=side(with_zdlife=run.with_zdlife),
        tone="good" if good else "bad",
        mark=(NOTHING_LOST if good else LOST).glyph,
        figure=count(counts.failed),
        sent=count(counts.sent),
        lost=f"{count(counts.failed)} lost",
        svg=chart.timeline(run, name=name, until=until),
    )


def _legend(runs: Sequence[Run]) -> list[Legend]:
    """Return the colours in use, in the order of a life."""
    releases = release_inks(instance.release for run in runs for instance in run.instances)
    seen = {span.phase for run in runs for instance in run.instances for span in instance.phases}
    before = [Legend(name=p, label=p) for p in ("starting", "warming") if p in seen]
    ready = [Legend(name=f"ready-{n % len(RELEASES)}", label=f"ready, release {r}") for n, r in enumerate(releases)]
    after = [Legend(name=p, label=p) for p in ("settling", "draining", "stopping") if p in seen]
    return before + ready + after


def _classes(runs: Sequence[Run]) -> list[ClassRow]:
    kinds = [by_kind(run) for run in runs]
    rows = [
        ClassRow(name=kind.value, cells=[_cell(counts.get(kind)) for counts in kinds])
        for kind in Kind
        if any(kind in counts for counts in kinds)
    ]
    return [*rows, ClassRow(name="all", cells=[_cell(tally(run.requests)) for run in runs], total=True)]


def _cell(counts: Tally | None) -> Cell:
    if counts is None:
        return Cell(sent="–", ok="–", lost="–", tone="")
    tone = "bad" if counts.failed else "good"
    return Cell(sent=count(counts.sent), ok=count(counts.ok), lost=count(counts.failed), tone=tone)


def _losses(run: Run) -> Losses:
    shown = sorted(run.failed, key=lambda loss: loss.at)[:SHOWN_LOSSES]
    total = len(run.failed)
    which = "the lost requests" if total == len(shown) else f"the first {len(shown)} of {count(total)} lost requests"
    return Losses(
        heading=f"{side(with_zdlife=run.with_zdlife).capitalize()}: {which}, one by one",
        open=total <= FEW_LOSSES,
        rows=shown,
    )


def _settings(run: Run) -> list[tuple[str, str]]:
    own = {
        "server": run.server,
        "balancer": run.balancer,
        "replacements": str(run.rolls),
        "requests a second": f"{run.rate:g}",
        "began at": _when(run.began_at),
    }
    return list({**own, **run.settings}.items())


def _when(began_at: str) -> str:
    """Return a moment for people; what cannot be read is shown as it is."""
    try:
        return datetime.fromisoformat(began_at).strftime("%-d %B %Y, %H:%M %Z").strip()
    except ValueError:
        return began_at
