"""The instances of one rehearsal: real processes, started, awaited, told to stop, and accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zdlife.errors import PlanError
from zdlife.rehearsal import servers
from zdlife.rehearsal.client import Reply, probe
from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.plan import Plan, ReleaseName, ServerName
from zdlife.rehearsal.ports import Ports
from zdlife.rehearsal.processes import Process, Processes
from zdlife.rehearsal.result import InstanceView

MERCY = 5.0
"""Seconds past the grace period before an instance is killed."""
READY, UNAVAILABLE = 200, 503
TAKEN = ("address already in use", "errno 98", "errno 48", "already in use")


class Halted(Exception):
    """The rehearsal cannot go on; what was found until here is judged, and the message says why."""


@dataclass(slots=True)
class Instance:
    """One running copy. Times are seconds of the run; `phase` is what the live view shows."""

    name: str
    release: ReleaseName
    version: str
    port: int
    process: Process
    ledger: Path
    report: Path
    started_at: float
    ready_at: float | None = None
    told_at: float | None = None
    ended_at: float | None = None
    killed: bool = False
    phase: str = "starting"

    @property
    def in_service(self) -> bool:
        """Ready, not told to stop, and still there."""
        return self.ready_at is not None and self.told_at is None and self.process.exit_code is None


class Fleet:
    """All instances that were ever started, in the order of their starting."""

    def __init__(
        self,
        plan: Plan,
        *,
        server: ServerName,
        with_zdlife: bool,
        clock: Clock,
        processes: Processes,
        ports: Ports,
        berths: Sequence[int],
        folder: Path,
    ) -> None:
        self.plan = plan
        self.server = server
        self.with_zdlife = with_zdlife
        self.health = plan.app.health if with_zdlife else plan.app.bare_health
        self.instances: list[Instance] = []
        self._application = servers.application(plan, server, with_zdlife=with_zdlife)
        self._clock = clock
        self._processes = processes
        self._ports = ports
        self._berths = iter(berths)
        self._folder = folder
        self._numbers: Counter[ReleaseName] = Counter()
        self._endings: dict[str, asyncio.Task[None]] = {}

    async def start(self, release: ReleaseName) -> Instance:
        """Return a new instance of `release` that has just been started, in the next berth."""
        self._numbers[release] += 1
        port = next(self._berths)
        name = f"{self.plan.app.service}-{release}-{self._numbers[release]}"
        ledger, report = self._folder / f"{name}.ledger", self._folder / f"{name}.report.json"
        version = self.plan.releases[release].version
        env = servers.environment(
            self.plan,
            application=self._application,
            release=self.plan.releases[release].env,
            with_zdlife=self.with_zdlife,
            own={
                "ZDLIFE_SERVICE": self.plan.app.service,
                "ZDLIFE_VERSION": version,
                "ZDLIFE_INSTANCE": name,
                "ZDLIFE_REPORT": str(report),
                "REHEARSAL_LEDGER": str(ledger),
            },
        )
        shape = servers.Shape(
            port=port,
            workers=self.plan.fleet.workers,
            threads=self.plan.fleet.threads,
            with_zdlife=self.with_zdlife,
            drain=self.plan.settings.drain,
            extra=self.plan.fleet.arguments.get(self.server, ()),
        )
        self._ports.hand_over(port)
        at = self._clock.now()
        process = await self._processes.start(name, servers.command(self.server, shape), env=env, cwd=self.plan.folder)
        instance = Instance(name, release, version, port, process, ledger, report, at)
        self.instances.append(instance)
        self._endings[name] = asyncio.create_task(self._note_the_end(instance))
        return instance

    async def await_ready(self, instance: Instance) -> None:
        """Return once it answers 200 on the health path.

        Raises:
            PlanError: it has ended, or it is not ready in time; its last output is in the message.
        """
        answer: Reply | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.plan.fleet.ready_within):
                while instance.process.exit_code is None:
                    answer = await probe(instance.port, self.health, within=2.0) or answer
                    if answer is not None and answer.status == READY:
                        instance.ready_at = self._clock.now()
                        instance.phase = "ready"
                        return
                    instance.phase = phase_in(answer) or instance.phase
                    await asyncio.sleep(0.05)
        raise PlanError(self._never_ready(instance, answer))

    def tell_to_stop(self, instance: Instance) -> None:
        """Send SIGTERM to the server's first process, as an orchestrator does; nothing if that has ended by itself."""
        if instance.process.exit_code is not None:
            return
        instance.told_at = self._clock.now()
        instance.phase = "settling" if self.with_zdlife else "stopping"
        instance.process.signal(signal.SIGTERM)

    async def await_end(self, instance: Instance) -> None:
        """Return once it has ended; past the grace period it is killed."""
        if await instance.process.wait(within=self.plan.settings.grace + MERCY) is None:
            instance.killed = True
            instance.process.kill_group()
        await self._endings[instance.name]
        await self._processes.bury(instance.process)

    async def look(self, *, every: float = 0.3) -> None:
        """Keep the phase of the leaving instances up to date for the live view; never returns."""
        while True:
            await asyncio.sleep(every)
            for instance in self.instances:
                if instance.told_at is None or instance.ended_at is not None or not self.with_zdlife:
                    continue
                answer = await probe(instance.port, self.plan.app.health, within=1.0)
                if instance.ended_at is None:
                    instance.phase = phase_in(answer) or ("draining" if answer is None else instance.phase)

    def views(self) -> tuple[InstanceView, ...]:
        """Return the instances that run, and those that have just stopped."""
        since = self._clock.now() - 3.0
        return tuple(
            InstanceView(instance.name, instance.version, instance.phase)
            for instance in self.instances
            if instance.ended_at is None or instance.ended_at > since
        )

    async def _note_the_end(self, instance: Instance) -> None:
        """Wait for the process, which may end by itself at any time, and take note of when."""
        await instance.process.wait()
        instance.ended_at = self._clock.now()
        instance.phase = "stopped"

    def _never_ready(self, instance: Instance, answer: Reply | None) -> str:
        """Return what is known about an instance that did not become ready."""
        output = instance.process.last_output()
        code = instance.process.exit_code
        if code is not None and any(sign in line.lower() for line in output for sign in TAKEN):
            what = (
                f"{instance.name} could not listen: port {instance.port} is in use. "
                "Free it, or leave the port out of the plan: any free one is taken."
            )
        elif code is not None:
            what = f"{instance.name} ended with exit code {code} before it was ready."
        else:
            heard = "no answer" if answer is None else f"{answer.status} {answer.tail[:200].decode('utf-8', 'replace')}"
            what = (
                f"{instance.name} was not ready within {self.plan.fleet.ready_within:g} s (GET {self.health}: "
                f"{heard.rstrip()}). Raise ready_within in [fleet], or correct the app."
            )
        said = "\n    ".join(output) if output else "(it wrote nothing)"
        return f"{what} Its last output:\n    {said}"


def phase_in(answer: Reply | None) -> str | None:
    """Return the phase that a readiness answer names."""
    if answer is None or answer.status not in (READY, UNAVAILABLE):
        return None
    with contextlib.suppress(ValueError):
        body = json.loads(bytes(answer.tail))
        if isinstance(body, dict) and isinstance(body.get("phase"), str):
            return str(body["phase"])
    return None
