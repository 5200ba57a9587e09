"""`rehearse`: one server behind one balancer, rolled there and back under load, and judged."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

from zdlife.errors import PlanError
from zdlife.rehearsal import ledger as ledgers
from zdlife.rehearsal.balancer import Balancer, Direct
from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.findings import Evidence, findings
from zdlife.rehearsal.fleet import Fleet, Halted
from zdlife.rehearsal.haproxy import HAProxy
from zdlife.rehearsal.judge import too_few, verdicts
from zdlife.rehearsal.ledger import Ledger
from zdlife.rehearsal.life import life
from zdlife.rehearsal.load import Load
from zdlife.rehearsal.nginx import Nginx
from zdlife.rehearsal.plan import BalancerName, Plan, ServerName
from zdlife.rehearsal.ports import Ports
from zdlife.rehearsal.processes import Processes
from zdlife.rehearsal.result import Run, Snapshot
from zdlife.rehearsal.servers import SERVERS
from zdlife.rehearsal.sockets import Sockets
from zdlife.rehearsal.strategies import roll, stop

WATCHED_EVERY = 0.2
SPARE_FILES = 200


async def rehearse(
    plan: Plan,
    *,
    server: ServerName,
    balancer: BalancerName | None = None,
    rolls: int | None = None,
    rate: float | None = None,
    instances: int | None = None,
    with_zdlife: bool = True,
    watch: Callable[[Snapshot], None] | None = None,
    folder: Path | None = None,
) -> Run:
    """Return what became of every request while the plan's application was replaced, instance by instance.

    What is None is as the plan has it. `watch` is called five times a second, in the event loop. Logs, ledgers and
    shutdown reports stay in `folder`; without one they go with the run. Every process that was started has ended when
    this returns or raises, also when it is cancelled.

    Raises:
        PlanError: the rehearsal cannot begin: something is not installed, a port is taken, or the old release
            does not become ready. A new release that does not ends the run early instead: `Run.aborted` says so.
    """
    rolls = rolls or plan.fleet.rolls
    rate = rate or plan.load.rate
    instances = instances or plan.fleet.instances
    balancer = balancer or plan.balancer.name
    _allow_files(int(rate * plan.load.timeout) + plan.load.connections + SPARE_FILES)
    async with contextlib.AsyncExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zdlife-rehearsal-")))
        folder.mkdir(parents=True, exist_ok=True)
        ports = stack.enter_context(Ports())
        processes = await stack.enter_async_context(Processes(folder.resolve()))
        first = plan.fleet.port
        berths = [ports.reserve(first + number if first else 0) for number in range(instances + rolls)]
        clock = Clock()
        fleet = Fleet(
            plan,
            server=server,
            with_zdlife=with_zdlife,
            clock=clock,
            processes=processes,
            ports=ports,
            berths=berths,
            folder=folder.resolve(),
        )
        front: Balancer
        if balancer == "direct":
            front = Direct(clock, lag=plan.balancer.lag, seed=plan.load.seed)
        else:
            program = HAProxy if balancer == "haproxy" else Nginx
            front = program(
                plan,
                processes=processes,
                ports=ports,
                berths=berths,
                health=fleet.health,
                folder=folder.resolve(),
            )
        await stack.enter_async_context(front)
        return await Rehearsal(
            fleet, front, clock=clock, balancer=balancer, rolls=rolls, rate=rate, size=instances
        ).run(watch)


class Rehearsal:
    """One run, once everything it needs is there."""

    def __init__(
        self,
        fleet: Fleet,
        front: Balancer,
        *,
        clock: Clock,
        balancer: BalancerName,
        rolls: int,
        rate: float,
        size: int,
    ) -> None:
        self.fleet = fleet
        self.front = front
        self.clock = clock
        self.balancer = balancer
        self.rolls = rolls
        self.rate = rate
        self.size = size
        self.ledger = Ledger(clock)
        self.step = "starting"
        table = fleet.plan.load
        self.load = Load(table, rate=rate, balancer=front, ledger=self.ledger, clock=clock)
        self.sockets = Sockets(table.websocket if SERVERS[fleet.server].interface == "asgi" else None)

    async def run(self, watch: Callable[[Snapshot], None] | None) -> Run:
        """Return the whole run: begin, roll, end, judge."""
        async with meanwhile(*([self.fleet.look(), self._show(watch)] if watch else [])):
            await self._begin()
            aborted = await self._roll()
            await self._end()
        run = self._judge(aborted)
        if watch:
            watch(self.snapshot())
        return run

    def say(self, step: str) -> None:
        """Take note of what is going on, for the live view."""
        self.step = step

    def snapshot(self) -> Snapshot:
        """Return the run as it stands now."""
        return Snapshot(
            at=self.clock.now(),
            step=self.step,
            server=self.fleet.server,
            balancer=self.balancer,
            with_zdlife=self.fleet.with_zdlife,
            instances=self.fleet.views(),
            rate=self.ledger.rate(),
            sent=len(self.ledger.asked),
            in_progress=self.ledger.in_progress,
            failed=dict(self.ledger.failed),
        )

    async def _show(self, watch: Callable[[Snapshot], None]) -> None:
        """Show the run to whoever watches, five times a second; never returns."""
        while True:
            watch(self.snapshot())
            await asyncio.sleep(WATCHED_EVERY)

    async def _begin(self) -> None:
        """Start the old release, and return when all of it is ready and is sent requests."""
        self.say(f"starting {self.size} instances of the old release")
        first = [await self.fleet.start("old") for _ in range(self.size)]
        await asyncio.gather(*(self.fleet.await_ready(instance) for instance in first))
        await self.front.admit(*(instance.port for instance in first))

    async def _roll(self) -> str | None:
        """Replace the instances under load, and return why it ended early, if it did."""
        table = self.fleet.plan.load
        aborted = None
        async with meanwhile(self.load.run()) as (loading,):
            self.say("warming up")
            await asyncio.sleep(table.warm_up)
            try:
                await roll(
                    self.fleet,
                    balancer=self.front,
                    load=self.load,
                    sockets=self.sockets,
                    rolls=self.rolls,
                    instances=self.size,
                    say=self.say,
                )
            except Halted as halt:
                aborted = str(halt)
            self.say("cooling down")
            await asyncio.sleep(table.cool_down)
            self.load.stop()
            await loading
        return aborted

    async def _end(self) -> None:
        """End what still runs, for its exit code and its report."""
        self.say("stopping what is left")
        await asyncio.gather(
            *(
                stop(instance, fleet=self.fleet, balancer=self.front)
                for instance in self.fleet.instances
                if instance.ended_at is None
            )
        )
        await self.sockets.finish(within=2.0)
        self.say("judging")

    def _judge(self, aborted: str | None) -> Run:
        """Return the run with an outcome for every request, and the findings."""
        fleet, ledger = self.fleet, self.ledger
        told = ledgers.read({instance.name: instance.ledger for instance in fleet.instances}, self.clock)
        lives = tuple(life(instance, self.clock) for instance in fleet.instances)
        requests = verdicts(
            ledger.asked,
            ledger.heard,
            told,
            instances={instance.port: instance.name for instance in fleet.instances},
            releases={instance.name: instance.version for instance in fleet.instances},
            arrivals={instance.name: instance.arrivals for instance in lives},
        )
        evidence = Evidence(
            plan=fleet.plan,
            balancer=self.balancer,
            with_zdlife=fleet.with_zdlife,
            requests=requests,
            heard=ledger.heard,
            told=told,
            instances=lives,
            websockets=self.sockets.codes,
        )
        return Run(
            server=fleet.server,
            balancer=self.balancer,
            with_zdlife=fleet.with_zdlife,
            began_at=self.clock.began_at,
            seconds=self.clock.now(),
            rolls=self.rolls,
            rate=self.rate,
            requests=requests,
            instances=lives,
            websockets=dict(self.sockets.codes),
            findings=findings(evidence),
            aborted=aborted or too_few(requests),
        )


@contextlib.asynccontextmanager
async def meanwhile(*work: Coroutine[object, object, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Have `work` done while the block runs, and cancel what is left of it; what failed in it is raised in the end."""
    tasks = [asyncio.create_task(piece) for piece in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


def _allow_files(needed: int) -> None:
    """Raise the limit on open files as far as `needed`.

    Raises:
        PlanError: the hard limit is below it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise PlanError(
            f"the load may need {needed} open connections, and this process may have {hard} (ulimit -n). "
            "Lower the rate or the timeout, or raise the limit."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
