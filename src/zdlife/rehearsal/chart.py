"""Draw one run as SVG: the phases of every instance, the losses below them, the rate of requests at the foot.

The drawing carries classes beside its colours, so that the page around it decides between light and dark. It is
text and shapes only: no script, no font, no reference to anything outside of it.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zdlife.palette import UNKNOWN, phase_ink
from zdlife.rehearsal.palette import LOST, release_inks
from zdlife.rehearsal.result import InstanceRun, Outcome, Request, Run
from zdlife.rehearsal.tally import UNKNOWN_RELEASE, tally
from zdlife.rehearsal.wording import count, sentence

SVG = "http://www.w3.org/2000/svg"
MARK = "mark:"
COLOUR = re.compile(r"(?:fill|stroke): #\w+;?\s*")
WIDTH, LEFT, RIGHT = 11.0, 1.55, 0.12
ROW, STRIP, RATE, GAP, FOOT = 0.25, 0.34, 1.0, 0.1, 0.42
MOST_BINS = 150
SMALL, LETTER = 8.5, 0.062
"""The size of the letters in points, and about how many inches wide one of them is."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Losses that happened close together: where their label stands, and how many they are."""

    at: float
    until: float
    losses: tuple[Request, ...]


def timeline(run: Run, *, name: str, until: float | None = None) -> str:
    """Return the drawing of a run as an `<svg>` element to be placed in a page.

    `name` is unique within the page: every id begins with it. `until` is where the time axis ends, which lets
    two drawings share a scale.
    """
    end = until or extent(run)
    rows = len(run.instances)
    height = GAP + rows * ROW + STRIP + GAP + RATE + FOOT
    style = mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "zdlife",
            "text.parse_math": False,
            "font.size": SMALL,
            "font.family": "sans-serif",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.6,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.0,
        }
    )
    with style:
        figure = Figure(figsize=(WIDTH, height))
        figure.patch.set_alpha(0)
        width = (WIDTH - LEFT - RIGHT) / WIDTH
        lanes_height = rows * ROW + STRIP
        lanes = figure.add_axes((LEFT / WIDTH, (FOOT + RATE + GAP) / height, width, lanes_height / height))
        rate = figure.add_axes((LEFT / WIDTH, FOOT / height, width, RATE / height), sharex=lanes)
        titles: dict[str, str] = {}
        _draw_lanes(lanes, run, scale=(WIDTH - LEFT - RIGHT) / end, titles=titles)
        _draw_rate(rate, run, end=end, titles=titles)
        lanes.set_xlim(0, end)
        for number, stop in enumerate(_stops(run)):
            for axes in (lanes, rate):
                axes.axvline(stop, gid=f"{MARK}stop:{id(axes)}-{number}", linewidth=0.7, linestyle=(0, (2, 2)))
        page = io.BytesIO()
        figure.savefig(page, format="svg", metadata={"Date": None})
    return _finish(page.getvalue(), run, name=name, titles=titles)


def extent(run: Run) -> float:
    """Return the second at which everything in a run is over."""
    ends = [span.until for instance in run.instances for span in instance.phases]
    return max([run.seconds, *ends, *(request.at for request in run.requests), 1.0])


def description(run: Run) -> str:
    """Return in words what the drawing shows, for those who do not see it."""
    parts = [f"{len(run.instances)} instances over {run.seconds:.0f} seconds, {sentence(tally(run.requests))}."]
    parts += [f"From second {c.at:.1f} to {c.until:.1f}: {count(len(c.losses))} lost." for c in clusters(run.failed)]
    return " ".join(parts)


def clusters(losses: Sequence[Request], *, apart: float = 1.5) -> list[Cluster]:
    """Return the losses in groups, a new one beginning after `apart` seconds without any."""
    ordered = sorted(losses, key=lambda loss: loss.at)
    cuts = [0, *(n for n, (a, b) in enumerate(pairwise(ordered), 1) if b.at - a.at > apart), len(ordered)]
    groups = [ordered[low:high] for low, high in pairwise(cuts) if low < high]
    return [Cluster(at=group[0].at, until=group[-1].at, losses=tuple(group)) for group in groups]


def rates(run: Run, *, step: float, end: float) -> dict[str, list[float]]:
    """Return requests a second by release, and those lost under an empty name, in bins of `step` seconds."""
    bins = max(1, math.ceil(end / step))
    layers = {release: [0.0] * bins for release in _releases(run)}
    lost = [0.0] * bins
    for request in run.requests:
        place = min(bins - 1, max(0, int(request.at / step)))
        if request.outcome is Outcome.OK:
            layers.setdefault(request.release or UNKNOWN_RELEASE, [0.0] * bins)[place] += 1 / step
        else:
            lost[place] += 1 / step
    return {**layers, "": lost}


def _releases(run: Run) -> list[str]:
    return list(release_inks(instance.release for instance in run.instances))


def _stops(run: Run) -> list[float]:
    return sorted({i.told_to_stop_at for i in run.instances if i.told_to_stop_at is not None})


def _draw_lanes(axes: Axes, run: Run, *, scale: float, titles: dict[str, str]) -> None:
    """Draw a lane for each instance and one for the losses; `scale` is inches a second."""
    lanes = {instance.name: row for row, instance in enumerate(run.instances)}
    for instance in run.instances:
        _draw_instance(axes, instance, row=lanes[instance.name], run=run, scale=scale, titles=titles)
    strip = len(run.instances) + (STRIP / ROW - 1) / 2
    _draw_losses(axes, run, lanes=lanes, strip=strip, titles=titles)
    axes.set_ylim(len(run.instances) - 0.5 + STRIP / ROW, -0.5)
    axes.set_yticks([*lanes.values(), strip], [*(f"{i.name}  {i.release}" for i in run.instances), "lost"])
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(False)
    axes.patch.set_alpha(0)


def _draw_instance(
    axes: Axes, instance: InstanceRun, *, row: int, run: Run, scale: float, titles: dict[str, str]
) -> None:
    inks = release_inks(_releases(run))
    hue = list(inks).index(instance.release)
    for place, span in enumerate(instance.phases):
        if span.phase == "stopped" or span.until <= span.at:
            continue
        kind = f"ready-{hue}" if span.phase == "ready" else span.phase
        gid = f"{MARK}phase {kind}:{row}-{place}"
        seconds = span.until - span.at
        titles[gid] = (
            f"{instance.name} ({instance.release}): {span.phase} from {span.at:.1f} s to {span.until:.1f} s, "
            f"{seconds:.1f} s, {count(span.requests)} requests"
        )
        colour = phase_ink(span.phase, release=inks[instance.release]).light
        axes.barh(row, seconds, left=span.at, height=0.74, color=colour, edgecolor="white", linewidth=0.5, gid=gid)
        label = span.phase
        crossed = any(loss.instance == instance.name and span.at <= loss.at < span.until for loss in run.failed)
        if (len(label) + 1) * LETTER < seconds * scale and not crossed:
            middle = span.at + seconds / 2
            axes.text(middle, row, label, ha="center", va="center_baseline", gid=f"{MARK}on-{kind}:{row}-{place}")


def _draw_losses(axes: Axes, run: Run, *, lanes: Mapping[str, int], strip: float, titles: dict[str, str]) -> None:
    """Draw a cross on the lane of each instance that lost something, and on the strip with how many."""
    found = clusters(run.failed)
    if not found:
        axes.text(0, strip, " none", va="center_baseline", ha="left", gid=f"{MARK}none:0")
    for number, cluster in enumerate(found):
        gid = f"{MARK}loss:{number}"
        titles[gid] = f"{count(len(cluster.losses))} lost from {cluster.at:.1f} s to {cluster.until:.1f} s"
        spots = {_spot(loss) for loss in cluster.losses}
        axes.plot(
            sorted(spots),
            [strip] * len(spots),
            "x",
            color=LOST.light,
            markersize=4.5,
            markeredgewidth=1.3,
            gid=gid,
        )
        axes.annotate(
            f"{count(len(cluster.losses))} lost",
            (max(spots), strip),
            xytext=(6, 0),
            textcoords="offset points",
            va="center_baseline",
            gid=f"{MARK}lost:{number}",
        )
        known = {(_spot(s), lanes[s.instance]) for s in cluster.losses if s.instance and s.instance in lanes}
        if known:
            x, y = zip(*sorted(known), strict=True)
            halo = f"{MARK}halo:{number}"
            axes.plot(x, y, "x", color="white", markersize=5.5, markeredgewidth=2.6, gid=halo)
            axes.plot(x, y, "x", color=LOST.light, markersize=4.5, markeredgewidth=1.3, gid=f"{gid}-lanes")


def _spot(loss: Request) -> float:
    """Return where the cross of a loss stands: a fifth of a second has one, however many were lost in it."""
    return round(loss.at * 5) / 5


def _draw_rate(axes: Axes, run: Run, *, end: float, titles: dict[str, str]) -> None:
    """Draw the requests of each second as areas, one upon the other, the lost ones on top."""
    step = max(1.0, math.ceil(end / MOST_BINS))
    layers = rates(run, step=step, end=end)
    inks = release_inks(_releases(run))
    middles = [(place + 0.5) * step for place in range(len(layers[""]))]
    floor = [0.0] * len(middles)
    for name, layer in layers.items():
        if not any(layer):
            continue
        ceiling = [low + more for low, more in zip(floor, layer, strict=True)]
        kind = f"area-{list(inks).index(name)}" if name in inks else "area-unknown" if name else "area-lost"
        colour = inks[name].light if name in inks else UNKNOWN.light if name else LOST.light
        gid = f"{MARK}area {kind}:0"
        titles[gid] = f"requests a second answered by {name}" if name else "requests a second that were lost"
        axes.fill_between(middles, floor, ceiling, color=colour, linewidth=0, gid=gid)
        floor = ceiling
    axes.set_ylim(0, max(1.0, *floor) * 1.08)
    axes.set_ylabel("requests/s", rotation=0, ha="right", va="center")
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3, integer=True))
    axes.set_xlabel("seconds since the run began")
    axes.grid(axis="y", linewidth=0.5, gid=None)
    axes.set_axisbelow(False)
    axes.patch.set_alpha(0)


def _finish(drawn: bytes, run: Run, *, name: str, titles: Mapping[str, str]) -> str:
    """Return matplotlib's file as an element of a page: named, described, its ids its own."""
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ET.fromstring(drawn)  # noqa: S314  nobody else has touched it: matplotlib wrote it just now
    for element in root.iter():
        for child in list(element):
            # The style is for all elements wherever they are, which in a page is everything.
            if child.tag.endswith(("}metadata", "}style")):
                element.remove(child)
            elif element.tag.endswith("}defs") and "style" in child.attrib:
                # What <use> copies is out of reach of the page's selectors; without a colour it inherits one.
                child.set("style", COLOUR.sub("", child.attrib["style"]))
        _rename(element, name=name, titles=titles)
    for attribute in ("width", "height"):
        root.attrib.pop(attribute, None)
    title, about = (
        ET.Element(f"{{{SVG}}}title", id=f"{name}-title"),
        ET.Element(f"{{{SVG}}}desc", id=f"{name}-desc"),
    )
    title.text = f"Timeline: {run.server} behind {run.balancer}, {'with' if run.with_zdlife else 'without'} zdlife"
    about.text = description(run)
    root[:0] = [title, about]
    root.set("class", "timeline")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    return ET.tostring(root, encoding="unicode")


def _rename(element: ET.Element, *, name: str, titles: Mapping[str, str]) -> None:
    """Turn an id that stands for a class into that class, and make all others unique within the page."""
    own = element.get("id", "")
    if own.startswith(MARK):
        element.set("class", own.removeprefix(MARK).rpartition(":")[0])
        del element.attrib["id"]
        if own in titles:
            title = ET.Element(f"{{{SVG}}}title")
            title.text = titles[own]
            element.insert(0, title)
    elif own:
        element.set("id", f"{name}-{own}")
    for key, value in element.attrib.items():
        if key.endswith("href") and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{name}-"))
