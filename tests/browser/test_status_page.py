"""The status page in a real browser: it is drawn by day and by night, fits a phone, and keeps the reader's place."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import signal
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import eventually, require_module, require_program
from support.clients import get
from support.facts import SITUATIONS, status
from support.management import ManagementPort

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60.0


class Browser:
    """Chromium with one empty page, spoken to over its DevTools protocol (https://chromedevtools.github.io/)."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what a method of the protocol returned."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._connection.recv(timeout=PATIENCE))
            if said.get("id") == number:
                assert "error" not in said, said
                return said["result"]

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page; None while there is no page to ask."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def window(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def scheme(self, name: str) -> None:
        """Ask for the light or the dark scheme."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, url: str) -> None:
        """Return once the page is there."""
        self.call("Page.navigate", url=url)
        there = "document.readyState === 'complete' && !!document.querySelector('h1')"
        eventually(lambda: self.value(there), within=PATIENCE, why=f"{url} is loaded")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that is used by one test after the other."""
    profile = tmp_path_factory.mktemp("profile")
    connect = require_module("websockets.sync.client").connect
    command = [require_program("chromium"), *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    with started([*command, "about:blank"]), connect(page_address(profile), max_size=None) as connection:
        yield Browser(connection)


def page_address(profile: Path) -> str:
    """Return where the one page of the browser with this profile is spoken to."""
    told = profile / "DevToolsActivePort"
    eventually(lambda: told.exists() and "\n" in told.read_text(), within=PATIENCE, why="the browser has started")
    port = int(told.read_text().split()[0])
    pages = json.loads(get(port, "/json/list", timeout=PATIENCE).body)
    return next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[None]:
    """Run a browser with all of its processes until the end of the block."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=PATIENCE)


@pytest.fixture
def port() -> Iterator[ManagementPort]:
    """The management port of an instance that is ready."""
    with ManagementPort(status()) as made:
        yield made


def test_the_page_that_is_drawn_says_what_the_instance_said(port: ManagementPort, tmp_path: Path) -> None:
    port.facts = SITUATIONS["unready"]()
    command = [require_program("chromium"), *FLAGS, f"--user-data-dir={tmp_path}", "--dump-dom", port.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert "Not ready</h1>" in ended.stdout
    assert "connection refused by 10.1.2.3:5432" in ended.stdout
    assert {asked for asked in port.asked if not asked.startswith("/?")} == {"/"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 400, 320])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_page_fits_the_window(
    browser: Browser, port: ManagementPort, situation: str, width: int, scheme: str
) -> None:
    port.facts = SITUATIONS[situation]()
    browser.window(width, 800)
    browser.scheme(scheme)
    browser.open(f"{port.url}?refresh=0")
    assert json.loads(browser.value(BEYOND % width)) == []


BEYOND = """
JSON.stringify([...document.body.querySelectorAll('*')]
  .filter(element => element.getBoundingClientRect().right > %d)
  .map(element => element.outerHTML.slice(0, 160)))
"""


@pytest.mark.parametrize(
    ("scheme", "dark"), [pytest.param("light", False, id="light"), pytest.param("dark", True, id="dark")]
)
def test_the_page_is_drawn_by_day_and_by_night(browser: Browser, port: ManagementPort, scheme: str, dark: bool) -> None:
    browser.window(1100, 800)
    browser.scheme(scheme)
    browser.open(f"{port.url}?refresh=0")
    image = require_module("PIL.Image")
    shot = browser.call("Page.captureScreenshot", format="png")["data"]
    drawn = image.open(io.BytesIO(b64decode(shot))).convert("RGB")
    assert drawn.size == (1100, 800)
    assert (sum(drawn.getpixel((2, 2))) < 3 * 128) is dark
    assert len(drawn.getcolors(maxcolors=2**24)) > 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("situation", ["degraded", "unready", "warming", "leaving"])
def test_every_text_is_readable_upon_its_ground(
    browser: Browser, port: ManagementPort, situation: str, scheme: str
) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1."""
    port.facts = SITUATIONS[situation]()
    browser.window(1100, 800)
    browser.scheme(scheme)
    browser.open(f"{port.url}?refresh=0")
    assert json.loads(browser.value(POOR_CONTRASTS)) == []


POOR_CONTRASTS = """
(() => {
  const rgba = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const words = walk.currentNode.data.trim(), element = walk.currentNode.parentElement;
    if (!words || element.closest('.unseen')) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) poor.push([words, Math.round(contrast * 10) / 10]);
  }
  return JSON.stringify(poor);
})()
"""


def test_it_works_without_javascript_and_keeps_the_readers_place(browser: Browser, port: ManagementPort) -> None:
    port.facts = SITUATIONS["many"]()
    browser.window(1100, 600)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(f"{port.url}?refresh=1")
        browser.value("scrollTo(0, 700)")
        eventually(lambda: browser.value("scrollY") == 700, within=PATIENCE, why="the reader has scrolled")
        asked = len(port.asked)
        port.facts |= {"service": "another-name"}
        eventually(lambda: len(port.asked) >= asked + 2, within=PATIENCE, why="the page is loaded again, and again")
        shown = "document.readyState === 'complete' && document.body.innerText.includes('another-name')"
        eventually(lambda: browser.value(shown), within=PATIENCE, why="the page shows what is new")
        eventually(lambda: browser.value("scrollY") == 700, within=PATIENCE, why="the reader is where they were")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_a_stranger_runs_nothing(browser: Browser, port: ManagementPort) -> None:
    port.facts = SITUATIONS["hostile"]()
    browser.open(f"{port.url}?refresh=0")
    assert browser.value("document.scripts.length") == 0
    assert "<script>alert(1)</script>" in browser.value("document.body.innerText")
    assert set(port.asked) == {"/?refresh=0"}


def test_the_page_forbids_scripts_even_if_one_were_in_it(browser: Browser, port: ManagementPort) -> None:
    browser.open(f"{port.url}?refresh=0")
    browser.value("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert browser.value("window.ran") is None


def test_pausing_and_going_on_are_a_link_each(browser: Browser, port: ManagementPort) -> None:
    browser.window(1100, 800)
    browser.open(port.url)
    browser.value("[...document.links].find(link => link.text === 'pause').click()")
    eventually(lambda: "/?refresh=0" in port.asked, within=PATIENCE, why="it is paused")
    going_on = "[...document.links].find(link => link.text === 'go on')"
    eventually(lambda: browser.value(f"!!{going_on}"), within=PATIENCE, why="one may go on")
    browser.value(f"{going_on}.click()")
    eventually(lambda: "/?refresh=2" in port.asked, within=PATIENCE, why="it goes on")
