"""The order in which a fleet is replaced: there, and back.

One instance at a time, as Kubernetes does with maxSurge 1 and maxUnavailable 0: the new one is ready, and is sent
requests, before an old one is told to stop.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator

from zdlife.errors import PlanError
from zdlife.rehearsal.balancer import Balancer
from zdlife.rehearsal.fleet import Fleet, Halted, Instance
from zdlife.rehearsal.load import Load
from zdlife.rehearsal.plan import ReleaseName
from zdlife.rehearsal.sockets import Sockets

HEAD_START = 0.5
"""Seconds by which a stream, an upload and the WebSockets are under way before their instance is told to stop."""


def there_and_back(*, rolls: int, instances: int) -> Iterator[ReleaseName]:
    """Yield the release of each replacement: half of them new, half old, in waves no longer than the fleet.

    Two instances and four rolls: new, new, old, old. A fleet larger than half the rolls is rolled out in part and then
    rolled back; more rolls than twice the fleet go there and back again.
    """
    wave = min(instances, -(-rolls // 2))
    there: list[ReleaseName] = ["new"] * wave
    back: list[ReleaseName] = ["old"] * wave
    return itertools.islice(itertools.cycle(there + back), rolls)


async def roll(
    fleet: Fleet,
    *,
    balancer: Balancer,
    load: Load,
    sockets: Sockets,
    rolls: int,
    instances: int,
    say: Callable[[str], None],
) -> None:
    """Replace the instances in turn, while the load goes on.

    Raises:
        Halted: a new instance did not become ready, or no old one is left. As in a deploy, the rest stays as it is.
    """
    for number, release in enumerate(there_and_back(rolls=rolls, instances=instances), start=1):
        leaving = next((i for i in fleet.instances if i.in_service and i.release != release), None)
        if leaving is None:
            raise Halted(f"no instance is left for one of the {release} release to replace: they ended by themselves")
        say(f"{number}/{rolls}: starting the {release} release")
        fresh = await fleet.start(release)
        try:
            await fleet.await_ready(fresh)
            await balancer.admit(fresh.port)
        except PlanError as error:
            raise Halted(str(error)) from error
        say(f"{number}/{rolls}: {fresh.name} is ready, {leaving.name} is about to leave")
        load.straddle(leaving.port)
        await asyncio.gather(sockets.open(balancer.towards(leaving.port)), asyncio.sleep(HEAD_START))
        say(f"{number}/{rolls}: {leaving.name} is told to stop")
        await stop(leaving, fleet=fleet, balancer=balancer)


async def stop(instance: Instance, *, fleet: Fleet, balancer: Balancer) -> None:
    """Tell an instance to stop, and wait for its end."""
    fleet.tell_to_stop(instance)
    balancer.dismiss(instance.port)
    await fleet.await_end(instance)
