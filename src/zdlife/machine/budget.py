"""Do settle, drain and cleanup fit the grace period and the server's own timeouts?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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
class ServerDeadline:
    """How long the server itself waits from the beginning of its own stop to its own kill.

    `setting` is its name in the server's words. `covers` are the parts of leaving that have to end by then.
    """

    setting: str
    seconds: float
    covers: tuple[Literal["settle", "drain", "cleanup"], ...] = ("drain",)


@dataclass(frozen=True, slots=True)
class Misfit:
    """One limit that does not hold, and the number to write instead."""

    name: str
    value: float
    needed: float
    message: str


def misfits(limits: Limits, *, server: ServerDeadline | None = None) -> Iterator[Misfit]:
    """Yield what does not fit, worst first; nothing when everything fits."""
    settle = max(limits.settle, limits.settle_max) if limits.settle > 0 else 0.0
    needed = settle + limits.drain + limits.cleanup
    if needed > limits.grace:
        yield Misfit(
            "ZDLIFE_GRACE",
            limits.grace,
            needed,
            f"settle up to {settle:g} s + drain {limits.drain:g} s + cleanup {limits.cleanup:g} s = {needed:g} s "
            f"do not fit the grace period of {limits.grace:g} s. {_remedy(limits, needed)}",
        )
    if server is None:
        return
    lasts = {"settle": settle, "drain": limits.drain, "cleanup": limits.cleanup}
    own = sum(lasts[part] for part in server.covers)
    if server.seconds < own:
        parts = " + ".join(f"{part} {lasts[part]:g} s" for part in server.covers)
        yield Misfit(
            server.setting,
            server.seconds,
            own,
            f"{server.setting} is {server.seconds:g} s, less than {parts}: "
            f"the server would cut off what is still allowed to finish. Set {server.setting} to {own:g}.",
        )


def _remedy(limits: Limits, needed: float) -> str:
    """Say which number to write: a shorter drain where that is enough, a longer grace period in any case."""
    longer = f"give the platform's grace period and ZDLIFE_GRACE {needed:g} s"
    shorter = limits.drain - (needed - limits.grace)
    return f"Set ZDLIFE_DRAIN to {shorter:g}, or {longer}." if shorter > 0 else f"{longer[0].upper()}{longer[1:]}."
