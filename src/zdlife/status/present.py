"""Show an instance once, or again and again until Ctrl-C, or as JSON; the exit code says whether it is ready."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from zdlife.errors import WrongUse
from zdlife.palette import BAD
from zdlife.probes.overview import Overview, overview
from zdlife.probes.wording import Facts, clean
from zdlife.status.terminal import line, view
from zdlife.version import __version__

Ask = Callable[[], Facts]
PACE = 1.0


def present(ask: Ask, *, as_json: bool = False) -> int:
    """Return 0 if the instance that `ask` asks is ready and 1 if it is not, having shown it once.

    Raises:
        WrongUse: it does not answer, or not in a way that this release understands.
    """
    facts = ask()
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        sys.stdout.flush()
    else:
        console = _console()
        console.print(view(_seen(facts), width=console.width))
    return 0 if facts.get("status") in ("pass", "warn") else 1


def watch(ask: Ask, *, console: Console | None = None, pace: float = PACE) -> int:
    """Show it every `pace` seconds, and return 0 on Ctrl-C. An instance that falls silent meanwhile is waited for.

    Where there is no terminal it is one line for each change.

    Raises:
        WrongUse: it does not answer the first time.
    """
    console = console or _console()
    seen = _seen(ask())
    moving = console.is_terminal and not console.is_dumb_terminal
    (_watch_in_place if moving else _watch_in_lines)(ask, seen, console=console, pace=pace)
    return 0


def _watch_in_place(ask: Ask, seen: Overview, *, console: Console, pace: float) -> None:
    """Draw over what was drawn before; what was seen last stays when the watching is over."""
    shown: RenderableType = view(seen, width=console.width)
    try:
        with Live(shown, console=console, auto_refresh=False, screen=True) as live:
            while True:
                time.sleep(pace)
                trouble: list[RenderableType] = []
                try:
                    seen = _seen(ask())
                except WrongUse as error:
                    trouble = [Text(f" {BAD.glyph} {error} This is what it said last.\n", f"bold {BAD.dark}")]
                shown = Group(*trouble, view(seen, width=console.width))
                live.update(shown, refresh=True)
    except KeyboardInterrupt:
        console.print(shown)


def _watch_in_lines(ask: Ask, seen: Overview, *, console: Console, pace: float) -> None:
    last = ""
    said = line(seen)
    with suppress(KeyboardInterrupt):
        while True:
            if said != last:
                console.print(f"{time.strftime('%H:%M:%S', time.gmtime())}  {said}", markup=False, soft_wrap=True)
                last = said
            time.sleep(pace)
            try:
                said = line(_seen(ask()))
            except WrongUse as error:
                said = str(error)


def _seen(facts: Facts) -> Overview:
    try:
        return overview(facts)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise WrongUse(
            f"the instance is of zdlife {clean(facts.get('zdlife'))}, and tells its status in a way that zdlife "
            f"{__version__} does not know ({type(error).__name__}: {clean(error)}). Use the command installed with it."
        ) from error


def _console() -> Console:
    console = Console(highlight=False)
    if console.is_terminal:
        return console
    # A pipe has no width of its own; rich would fold the tables at 80 columns.
    return Console(width=max(console.width, 120), color_system=None, highlight=False, legacy_windows=False)
