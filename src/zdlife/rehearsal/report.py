"""Return what a rehearsal found as one self-contained HTML page, without JavaScript, for day, night and paper.

The words and the look are in report.html.jinja; the figures in page.py. Whatever comes from an application
is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from zdlife.palette import PHASES, RELEASES, Ink
from zdlife.rehearsal.page import page_of
from zdlife.rehearsal.palette import LOST, NOTHING_LOST
from zdlife.rehearsal.result import Trial


@dataclass(frozen=True, slots=True)
class NamedInk:
    """A colour as the style sheet knows it. `area` is the class of the drawing's area in the same colour."""

    name: str
    light: str
    dark: str
    on_light: str
    on_dark: str
    area: str


def render(trials: Sequence[Trial], *, command: str = "") -> str:
    """Return the page for these trials, of which there is at least one.

    `command` is what was typed, so that a reader can do it again.
    """
    source = files("zdlife.rehearsal").joinpath("report.html.jinja").read_text(encoding="utf-8")
    surroundings = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = surroundings.from_string(source)
    return template.render(page=page_of(trials, command=command), inks=list(_inks()), good=NOTHING_LOST, bad=LOST)


def _inks() -> Iterator[NamedInk]:
    for name, ink in PHASES.items():
        yield _named(name, ink)
    for number, ink in enumerate(RELEASES):
        yield _named(f"ready-{number}", ink, area=f"area-{number}")
    yield _named("lost", LOST)


def _named(name: str, ink: Ink, *, area: str = "") -> NamedInk:
    return NamedInk(name, ink.light, ink.dark, ink.on_light, ink.on_dark, area)
