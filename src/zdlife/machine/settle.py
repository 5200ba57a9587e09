"""Has the load balancer noticed? When the settle phase is over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each part of leaving may take, in seconds from the stop signal or from the part's own beginning.

    `settle` is the least time between the stop signal and the end of the settle, `settle_max` the most; in between, the
    settle ends once `settle_quiet` seconds pass without a request. `drain` and `cleanup` count from the beginning of
    their own phases. `grace` is what the platform gives from the signal to SIGKILL, for all of it together.
    `linger` is how long a worker that is being recycled answers on the connections it has, before it closes idle ones.
    """

    settle: float = 5.0
    settle_quiet: float = 2.0
    settle_max: float = 10.0
    drain: float = 15.0
    cleanup: float = 3.0
    grace: float = 30.0
    linger: float = 2.0


def ends_at(limits: Limits, *, asked_at: float, last_arrival: float | None) -> float:
    """Return when the settle that began at `asked_at` ends, as far as the arrivals until now tell.

    Never before `asked_at + settle` and never after `asked_at + settle_max`, as far as the grace period has room for
    the drain and the cleanup after it; where it has not, the settle itself comes before the drain. A settle of 0 is
    no settle at all: nobody balances load here (a terminal, a platform that takes the instance out before it
    signals). `last_arrival` is the monotonic time of the last request, probes left out; one from before the signal
    does not prolong anything.

    A request that arrives on a connection kept alive from before counts as well: its balancer has not noticed either,
    and as the answer closes that connection it counts once. (The quiet period is Knative's drainer's rule.)
    """
    if limits.settle <= 0:
        return asked_at
    room = limits.grace - limits.drain - limits.cleanup
    longest = max(room, min(limits.settle, limits.grace - limits.cleanup))
    most = asked_at + max(0.0, min(longest, max(limits.settle, limits.settle_max)))
    least = min(asked_at + limits.settle, most)
    if last_arrival is None or last_arrival < asked_at:
        return least
    return min(most, max(least, last_arrival + limits.settle_quiet))
