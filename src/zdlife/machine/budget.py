"""Do settle, drain and cleanup fit the grace period and the server's own timeouts?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zdlife.machine.settle import Limits

if TYPE_CHECKING:
    from zdlife.settings import Settings


def limits_of(settings: Settings) -> Limits:
    """Return the times of leaving that `settings` ask for."""
    return Limits(
        settle=settings.settle,
        settle_quiet=settings.settle_quiet,
        settle_max=max(settings.settle, settings.settle_max),
        drain=settings.drain,
        cleanup=settings.cleanup,
        grace=settings.grace,
    )


@dataclass(frozen=True, slots=True)
class Misfit:
    """One limit that does not hold, and the number to write instead."""

    name: str
    value: float
    needed: float
    message: str


def misfits(limits: Limits, *, server_timeout: float | None = None, server_setting: str = "") -> Iterator[Misfit]:
    """Yield what does not fit, worst first; nothing when everything fits.

    `server_timeout` is how many seconds the server itself gives from the beginning of its own stop to its own kill, or
    None where it waits without limit; `server_setting` is that setting's name in the server's own words.
    """
    needed = max(limits.settle, limits.settle_max if limits.settle > 0 else 0.0) + limits.drain + limits.cleanup
    if needed > limits.grace:
        yield Misfit(
            "ZDLIFE_GRACE",
            limits.grace,
            needed,
            f"settle up to {needed - limits.drain - limits.cleanup:g} s + drain {limits.drain:g} s + cleanup "
            f"{limits.cleanup:g} s = {needed:g} s do not fit the grace period of {limits.grace:g} s. "
            f"Set ZDLIFE_DRAIN to {max(0.0, limits.drain - (needed - limits.grace)):g}, or give the platform's grace period "
            f"and ZDLIFE_GRACE {needed:g} s.",
        )
    own = limits.drain + limits.cleanup
    if server_timeout is not None and server_timeout < own:
        yield Misfit(
            server_setting,
            server_timeout,
            own,
            f"{server_setting} is {server_timeout:g} s, less than drain {limits.drain:g} s + cleanup {limits.cleanup:g} s: "
            f"the server would kill what is still allowed to finish. Set {server_setting} to {own:g}.",
        )
