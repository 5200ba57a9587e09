"""The colours of a rehearsal: a release has one, and so has a loss."""

from __future__ import annotations

from collections.abc import Iterable

from zdlife.palette import BAD, GOOD, RELEASES, Ink

LOST = BAD
NOTHING_LOST = GOOD


def release_inks(releases: Iterable[str]) -> dict[str, Ink]:
    """Return a colour for each release, in the order in which they are first named."""
    names = list(dict.fromkeys(releases))
    return {name: RELEASES[place % len(RELEASES)] for place, name in enumerate(names)}
