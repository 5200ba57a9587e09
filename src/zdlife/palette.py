"""The colours of phases, releases and verdicts: one meaning each, the same in the terminal and on every page.

Taken from Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), which people with any of the common
colour deficiencies can tell apart. Colour is never alone: the terminal has a glyph for each phase, a page
writes the phase into its bar, and a verdict has its glyph.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ink:
    """One colour on a light and on a dark ground, and a glyph where there is none."""

    light: str
    dark: str
    glyph: str = "█"

    @property
    def on_light(self) -> str:
        """The colour of text upon `light`."""
        return readable_on(self.light)

    @property
    def on_dark(self) -> str:
        """The colour of text upon `dark`."""
        return readable_on(self.dark)


PHASES = {
    "starting": Ink(light="#c9ced6", dark="#4a515c", glyph="░"),
    "warming": Ink(light="#e8dc7a", dark="#a89b3c", glyph="▒"),
    "settling": Ink(light="#e69f00", dark="#f0b429", glyph="▓"),
    "draining": Ink(light="#cc79a7", dark="#d58bb4", glyph="▒"),
    "stopping": Ink(light="#6f7783", dark="#8b94a1", glyph="░"),
    "stopped": Ink(light="#ffffff", dark="#000000", glyph=" "),
}
"""Every phase but `ready`, whose colour is the release's."""

RELEASES = (
    Ink(light="#0072b2", dark="#3f9fdb"),
    Ink(light="#009e73", dark="#2fbf94"),
    Ink(light="#7a5cc4", dark="#a58be6"),
)

GOOD = Ink(light="#00704f", dark="#35c99a", glyph="✓")
CAUTION = Ink(light="#8a5a00", dark="#f0b429", glyph="!")
BAD = Ink(light="#b3001b", dark="#ff6b6b", glyph="✕")
UNKNOWN = Ink(light="#9aa1ab", dark="#7d8590", glyph="▒")


def phase_ink(phase: str, *, release: Ink) -> Ink:
    """Return the colour of one phase of an instance of that release."""
    return release if phase == "ready" else PHASES.get(phase, UNKNOWN)


def readable_on(ground: str) -> str:
    """Return black or white, whichever has more contrast to `#rrggbb` (WCAG 2.2, relative luminance)."""
    channels = [int(ground[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
