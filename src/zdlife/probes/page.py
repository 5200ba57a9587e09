"""The status page for people: one self-contained HTML page without JavaScript, for day and night, desk and phone.

The words are in overview.py, the look in page.html.jinja. Whatever comes from an application or from a client is
escaped, and the page forbids itself whatever would run or be fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil
from urllib.parse import quote

from zdlife.errors import MissingExtra
from zdlife.palette import BAD, CAUTION, GOOD, PHASES, RELEASES, UNKNOWN, Ink
from zdlife.probes.overview import overview
from zdlife.probes.rows import Mark
from zdlife.probes.wording import Facts

try:
    from jinja2 import Environment, StrictUndefined, Template
except ModuleNotFoundError:
    raise MissingExtra("jinja2", extra="management") from None

REFRESH = 2.0
"""Seconds between two looks, unless the reader has paused them."""

VERDICTS = {"good": GOOD, "caution": CAUTION, "bad": BAD, "faint": UNKNOWN}

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="{colour}"/>'
    '<text x="8" y="12.5" font-family="sans-serif" font-size="12" font-weight="700" text-anchor="middle" '
    'fill="{on}">{glyph}</text></svg>'
)


@dataclass(frozen=True, slots=True)
class NamedInk:
    """A colour as the style sheet knows it."""

    name: str
    ink: Ink


def render(facts: Facts, *, refresh: float = REFRESH) -> str:
    """Return the page. It loads itself again every `refresh` seconds, and never where that is 0.

    Takes some milliseconds for eight workers with ten checks each. Safe to call from any thread.
    """
    seen = overview(facts)
    # A browser leaves off what stands behind the point (HTML, 4.2.5.3): half a second would be none, and a storm.
    return _template().render(seen=seen, refresh=ceil(refresh), pace=ceil(REFRESH), icon=_icon(seen.mark))


@cache
def _template() -> Template:
    source = files("zdlife.probes").joinpath("page.html.jinja").read_text(encoding="utf-8")
    surroundings = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    inks = [NamedInk(name, ink) for name, ink in {"ready": RELEASES[0], **PHASES}.items()]
    surroundings.globals.update(inks=inks, verdicts=VERDICTS)
    return surroundings.from_string(source)


def _icon(mark: Mark) -> str:
    """Return the verdict as the picture in the browser's tab, so that one of many is found without being opened."""
    ink = VERDICTS[mark.tone]
    return "data:image/svg+xml," + quote(_ICON.format(colour=ink.light, on=ink.on_light, glyph=mark.glyph))
