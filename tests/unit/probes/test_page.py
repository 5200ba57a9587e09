"""The status page stands alone, is well-formed, says everything in words, and lets nobody speak as markup."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from support.facts import HOSTILE, SITUATIONS, check, said, status, worker
from support.pages import Outline
from zdlife.palette import BAD, CAUTION, GOOD, PHASES, RELEASES
from zdlife.probes.page import render


@pytest.fixture(params=SITUATIONS)
def page(request: pytest.FixtureRequest) -> str:
    """The page of an instance in each situation."""
    return render(SITUATIONS[request.param]())


def test_every_tag_is_closed_and_every_id_is_unique(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert [name for name, number in Counter(outline.ids).items() if number > 1] == []


def test_the_page_fetches_nothing_and_runs_nothing(page: str) -> None:
    outline = Outline(page)
    assert not outline.tags.keys() & {"script", "iframe", "object", "embed", "img", "base", "form"}
    assert {link for link in outline.links if not link.startswith("data:image/svg+xml,")} == {"?refresh=0", "status"}
    assert "@import" not in page
    assert "url(" not in page
    assert outline.meta["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_every_section_is_named_by_its_heading(page: str) -> None:
    assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(Outline(page).ids)


def test_it_loads_itself_again_until_it_is_paused() -> None:
    assert Outline(render(status())).meta["refresh"] == "2"
    assert Outline(render(status(), refresh=10.0)).meta["refresh"] == "10"
    assert Outline(render(status(), refresh=0.5)).meta["refresh"] == "1"
    paused = Outline(render(status(), refresh=0))
    assert "refresh" not in paused.meta
    assert "?refresh=2" in paused.links
    assert "paused" in paused.text


def test_the_title_is_the_verdict_and_the_instance() -> None:
    assert "<title>✕ Not ready – shop-7</title>" in render(SITUATIONS["unready"]())


def test_the_icon_is_a_picture_of_the_verdict() -> None:
    (icon,) = [link for link in Outline(render(SITUATIONS["degraded"]())).links if link.startswith("data:")]
    drawn = ET.fromstring(unquote(icon.partition(",")[2]))
    assert "".join(drawn.itertext()) == CAUTION.glyph
    assert CAUTION.light in icon.replace("%23", "#")


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        pytest.param("ready", ["Ready", "for 2 h 14 min", "shop-7", "2026.11.2", "/slow", "pass"], id="ready"),
        pytest.param("degraded", ["Ready, but degraded", "maxmemory-policy", "warn", "1 lost"], id="degraded"),
        pytest.param("unready", ["Not ready", "connection refused by 10.1.2.3:5432", "stuck for"], id="not-ready"),
        pytest.param("warming", ["Not ready yet", "812 of 1,200", "no such index: products-v7"], id="warming"),
        pytest.param("leaving", ["Leaving", "draining", "nightly import", "SIGKILL in 19 s"], id="leaving"),
        pytest.param("many", ["62 of 64 ready", "and 49 more", "and 39 more, younger"], id="many"),
    ],
)
def test_what_matters_is_said_in_words(situation: str, words: list[str]) -> None:
    text = Outline(render(SITUATIONS[situation]())).text
    assert [word for word in words if word not in text] == []


def test_a_history_is_told_to_those_who_do_not_see_it() -> None:
    labels = Outline(render(SITUATIONS["degraded"]())).labels
    assert "the last 20 runs: 11 pass, 9 fail" in labels


def test_what_comes_from_strangers_is_text() -> None:
    page = render(SITUATIONS["hostile"]())
    outline = Outline(page)
    assert not outline.tags.keys() & {"script"}
    assert outline.tags["b"] == Outline(render(SITUATIONS["hostile"]() | {"service": "shop"})).tags["b"]
    assert "<script>" not in page
    assert '"><script>alert(1)</script><b>' in outline.text
    assert "{{ 7 * 7 }}" in outline.text
    assert "\x1b" not in page
    assert page.encode()


def test_a_stranger_writes_as_much_as_there_is_room_for() -> None:
    assert len(render(SITUATIONS["hostile"]())) < 40_000
    assert len(HOSTILE) < 200


def test_a_service_without_checks_and_warmers_has_no_empty_sections() -> None:
    ids = Outline(render(SITUATIONS["bare"]())).ids
    assert "workers" in ids
    assert not {"checks", "warmers"} & set(ids)


def test_the_colours_are_those_of_the_palette_by_day_and_by_night() -> None:
    page = render(status())
    assert "prefers-color-scheme: dark" in page
    for ink in (GOOD, CAUTION, BAD, RELEASES[0], *PHASES.values()):
        assert ink.light in page
        assert ink.dark in page


def test_eight_workers_and_ten_checks_are_drawn_in_a_few_milliseconds() -> None:
    pids = range(8)
    facts = status(checks=[check(f"db-{number}", [said(pid) for pid in pids]) for number in range(10)])
    facts["workers"]["each"] = [worker(pid) for pid in pids]
    render(facts)
    assert min(seconds_of_rendering(facts) for _ in range(20)) < 0.02


def seconds_of_rendering(facts: dict[str, object]) -> float:
    began = time.perf_counter()
    render(facts)
    return time.perf_counter() - began


WITHOUT = """
import sys
sys.modules["jinja2"] = None
from zdlife.errors import MissingExtra
try:
    import zdlife.probes.page
except MissingExtra as error:
    sys.exit(str(error))
"""


def test_without_jinja2_the_extra_is_named() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == "jinja2 is not installed. Run: pip install 'zdlife[management]'\n"
