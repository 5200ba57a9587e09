"""The transition table of `zdlife.machine.phases` as rows of words, and as a drawing."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator

from zdlife.machine.phases import TABLE, Event, Phase, Row

WIDTH, TOP, BOX_WIDTH, BOX_HEIGHT, LINE, MIDDLE = 640, 24, 128, 34, 17, 330


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """Yield phases, event, guard, next phase and effects of every row, in order; one that several phases share once."""
    merged: dict[tuple[str, str, str, str], list[str]] = {}
    for row in TABLE:
        guard = "" if row.guard is None else _lower(inspect.cleandoc(row.guard.__doc__ or "").partition("\n")[0])
        then = "stays" if row.to is row.phase else row.to.value
        effects = "; ".join(effect.value for effect in row.effects)
        merged.setdefault((row.event.value, guard, then, effects), []).append(row.phase.value)
    for (event, guard, then, effects), phases in merged.items():
        yield ", ".join(phases), event, guard, then, effects


def ways() -> dict[tuple[Phase, Phase], list[str]]:
    """Return what leads from one phase to another, each event once."""
    found: dict[tuple[Phase, Phase], list[str]] = {}
    for row in TABLE:
        if row.to is not row.phase:
            label = _label(row)
            known = found.setdefault((row.phase, row.to), [])
            if label not in known:
                known.append(label)
    return found


def drawing() -> str:
    """Return the phases from top to bottom as SVG: straight ways to the next, with their events, arcs past it."""
    order, found = list(Phase), ways()
    tops = {order[0]: TOP}
    for phase, following in itertools.pairwise(order):
        lines = len(found.get((phase, following), ()))
        tops[following] = tops[phase] + BOX_HEIGHT + max(2, lines) * LINE + 22
    parts = []
    lane = 0
    for (start, end), labels in sorted(found.items(), key=lambda way: order.index(way[0][1]) - order.index(way[0][0])):
        if order.index(end) == order.index(start) + 1:
            parts.append(_path(f"M{MIDDLE} {tops[start] + BOX_HEIGHT} V{tops[end]}"))
            y = (tops[start] + BOX_HEIGHT + tops[end]) / 2 - LINE * (len(labels) - 1) / 2 + 2
            parts += [_text(MIDDLE + 10, y + LINE * i, label) for i, label in enumerate(labels)]
            continue
        left = MIDDLE - BOX_WIDTH / 2
        bend, dy = left - 34 - 26 * lane, 2 * (lane % 5)
        y1, y2 = tops[start] + BOX_HEIGHT - 6 - dy, tops[end] + 6 + dy
        lane += 1
        path = f"M{left} {y1} C{bend} {y1} {bend} {y2} {left} {y2}"
        parts.append(_path(path, title=f"{start.value} to {end.value}: {', '.join(labels)}"))
    for phase in order:
        kind, left = "leaving" if phase.leaving else "arriving", MIDDLE - BOX_WIDTH / 2
        box = f'x="{left}" y="{tops[phase]}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7"'
        parts.append(f'<rect class="{kind}" {box}/>')
        parts.append(_text(MIDDLE, tops[phase] + 22, phase.value, style='text-anchor="middle" class="b"'))
    return (
        f'<svg class="transitions" viewBox="0 0 {WIDTH} {tops[order[-1]] + BOX_HEIGHT + TOP}" role="img" '
        'style="max-width:640px;width:100%;height:auto" xmlns="http://www.w3.org/2000/svg" '
        'aria-label="The phases and the ways between them"><style>'
        ".transitions path{fill:none;stroke:currentColor;stroke-opacity:.5;stroke-width:1.3}"
        ".transitions text{fill:currentColor;font:13px sans-serif}.transitions .b{font-weight:600}"
        ".transitions rect{stroke:currentColor;stroke-opacity:.6}.transitions .arriving{fill:#2e9e6b33}"
        ".transitions .leaving{fill:#d9822b33}</style>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" style="fill:currentColor;stroke:none"/></marker></defs>' + "".join(parts) + "</svg>"
    )


def _label(row: Row) -> str:
    if row.event is Event.TICK and row.guard is not None:
        return row.guard.__name__.replace("_", " ")
    return row.event.value


def _path(path: str, *, title: str = "") -> str:
    told = f"<title>{title}</title>" if title else ""
    return f'<path d="{path}" marker-end="url(#tip)">{told}</path>'


def _text(x: float, y: float, text: str, *, style: str = "") -> str:
    return f'<text x="{x}" y="{y}" {style}>{text}</text>'


def _lower(sentence: str) -> str:
    return (sentence[:1].lower() + sentence[1:]).rstrip(".")
