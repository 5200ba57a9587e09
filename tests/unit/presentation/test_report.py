"""The page stands alone, is well-formed and accessible, and lets no application speak as markup."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from support.pages import Outline
from zdlife.palette import PHASES, RELEASES, readable_on
from zdlife.rehearsal.palette import LOST, NOTHING_LOST
from zdlife.rehearsal.report import render
from zdlife.rehearsal.result import Run, Trial

Make = Callable[..., Run]
Chill = Callable[..., Run]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def page(make_run: Make) -> str:
    """A page with a loss in both columns, of two trials."""
    return render(
        [
            Trial(make_run(), make_run(with_zdlife=False)),
            Trial(make_run(server="hypercorn", losing=True), make_run(server="hypercorn", with_zdlife=False)),
        ],
        command="zdlife rehearse plan.toml --server all",
    )


def drawings(page: str) -> list[ET.Element]:
    return [ET.fromstring(found) for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_the_page_fetches_nothing_and_runs_nothing(page: str) -> None:
    outline = Outline(page)
    assert outline.links == []
    assert not outline.tags.keys() & {"script", "iframe", "object", "embed", "link", "img", "image", "base"}
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []


def test_every_tag_is_closed_and_every_id_is_unique(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert [name for name, number in Counter(outline.ids).items() if number > 1] == []


def test_every_reference_inside_a_drawing_is_to_something_in_the_page(page: str) -> None:
    known = set(Outline(page).ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= known
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= known
    for names in re.findall(r'aria-labelledby="([^"]+)"', page):
        assert set(names.split()) <= known


def test_every_drawing_has_a_name_a_description_and_text_that_is_text(page: str) -> None:
    found = drawings(page)
    assert len(found) == 4
    for drawing in found:
        assert drawing.get("role") == "img"
        assert "behind" in drawing.findtext(f"{SVG}title", "")
        assert "lost" in drawing.findtext(f"{SVG}desc", "")
        texts = {"".join(text.itertext()).strip() for text in drawing.iter(f"{SVG}text")}
        assert {"ready", "lost", "requests/s", "seconds since the run began"} <= texts
        assert drawing.find(f".//{SVG}style") is None


def test_drawings_of_a_trial_share_their_scale(make_run: Make) -> None:
    one, two = drawings(render([Trial(make_run(), make_run(with_zdlife=False))]))
    ticks = [["".join(t.itertext()).strip() for t in drawing.iter(f"{SVG}text")] for drawing in (one, two)]
    assert [t for t in ticks[0] if t.isdigit() and int(t) % 5 == 0 and int(t) <= 30] == [
        t for t in ticks[1] if t.isdigit() and int(t) % 5 == 0 and int(t) <= 30
    ]


def test_the_page_knows_night_and_paper(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


@pytest.mark.parametrize("field", ["path", "detail", "instance", "method"])
def test_what_comes_from_an_application_is_escaped(make_run: Make, field: str) -> None:
    run = make_run(with_zdlife=False)
    bad = replace(run.failed[0], at=0.0, **{field: "<script>alert(1)</script>"})
    requests = (bad, *(request for request in run.requests if request.id != bad.id))
    page = render([Trial(replace(run, requests=requests))])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_names_and_findings_are_escaped_in_the_drawing_and_beside_it(make_run: Make) -> None:
    run = make_run()
    members = tuple(replace(m, name=f"<b>&{m.name}", release='"><i>') for m in run.instances)
    page = render([Trial(replace(run, instances=members, findings=("<u>raise it</u>",)))], command="<s>")
    assert not Outline(page).tags.keys() & {"u", "s"}
    assert "<b>&" not in page
    assert Outline(page).open == []


def test_a_name_with_dollar_signs_is_no_formula(make_run: Make) -> None:
    run = make_run()
    members = (replace(run.instances[0], name=r"a$\frac$b"), *run.instances[1:])
    assert r"a$\frac$b" in render([Trial(replace(run, instances=members))])


def test_the_headline_is_the_verdict(make_run: Make) -> None:
    lost = make_run(losing=True)
    assert "<h1>Nothing was lost.</h1>" in render([Trial(make_run(), make_run(with_zdlife=False))])
    assert f"<h1>{len(lost.failed)} requests were lost.</h1>" in render([Trial(lost)])
    assert "<h1>The rehearsal was aborted.</h1>" in render([Trial(replace(make_run(), aborted="not ready"))])


def test_a_run_of_nothing_is_drawn_too(make_run: Make) -> None:
    page = render([Trial(replace(make_run(), requests=(), instances=(), seconds=0.0, aborted="not ready"))])
    assert "not ready" in page


def test_the_settings_and_the_command_are_on_the_page(make_run: Make) -> None:
    page = render([Trial(replace(make_run(), settings={"ZDLIFE_SETTLE": "2.5 s"}))], command="zdlife rehearse p.toml")
    assert "ZDLIFE_SETTLE" in page
    assert "zdlife rehearse p.toml" in page


@pytest.mark.parametrize("ink", [LOST, NOTHING_LOST, *PHASES.values(), *RELEASES], ids=lambda ink: ink.light)
def test_text_upon_a_colour_can_be_read(ink: object) -> None:
    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ground in (ink.light, ink.dark):  # type: ignore[attr-defined]
        pair = sorted([luminance(ground), luminance(readable_on(ground))])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


def test_cold_requests_are_in_the_headline_on_the_card_and_in_the_table(make_run: Make, chill: Chill) -> None:
    page = render([Trial(chill(make_run(), 0.5, 1.25), make_run(with_zdlife=False))])
    assert "<h1>Nothing was lost, but 2 requests were served cold.</h1>" in page
    assert re.search(r'class="card bad">.*?2 cold</div>', page, re.DOTALL)
    assert '<th scope="row">cold requests</th><td>2 (by up to 1.2 s)</td><td>–</td>' in page
