"""Who decides where a request goes: the protocol of the three balancers, and the one that is built in."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, Self

from zdlife.errors import PlanError
from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.plan import Plan
from zdlife.rehearsal.ports import Ports
from zdlife.rehearsal.processes import Process, Processes

NOTICED_WITHIN = 10.0


class Balancer(Protocol):
    """Something that stands between the clients and the instances.

    An instance is known by its port. All ports that will ever be used are known when it starts, as berths that are
    empty until an instance is admitted there.
    """

    def choose(self) -> int:
        """Return the port that a new connection goes to, now."""

    def towards(self, port: int) -> int:
        """Return the port for a connection that should reach the instance at `port`, as far as one can ask for it."""

    async def admit(self, *ports: int) -> None:
        """Return once these ready instances are sent requests."""

    def dismiss(self, port: int) -> None:
        """Take note that the instance at `port` was told to stop at this moment."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


class Direct:
    """Like kube-proxy: the choice falls when a connection is made, and who stops is chosen for `lag` seconds more.

    Connections that exist stay where they are, and nothing is ever tried again.
    """

    def __init__(self, clock: Clock, *, lag: float, seed: int) -> None:
        self._clock = clock
        self._lag = lag
        self._random = random.Random(seed)
        self._until: dict[int, float] = {}

    def choose(self) -> int:
        """Return one of the instances at random, as kube-proxy does."""
        now = self._clock.now()
        return self._random.choice([port for port, until in self._until.items() if now < until])

    def towards(self, port: int) -> int:
        """Return the instance's own port."""
        return port

    async def admit(self, *ports: int) -> None:
        """Choose them from now on."""
        self._until |= dict.fromkeys(ports, math.inf)

    def dismiss(self, port: int) -> None:
        """Choose it for `lag` seconds more."""
        self._until[port] = self._clock.now() + self._lag

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._until.clear()


class Front:
    """A real program on one port, in front of all berths; what haproxy and nginx have in common.

    It ends with the other processes of the rehearsal.
    """

    program: str
    process: Process

    def __init__(
        self,
        plan: Plan,
        *,
        processes: Processes,
        ports: Ports,
        berths: Sequence[int],
        health: str,
        folder: Path,
    ) -> None:
        self.plan = plan
        self.processes = processes
        self.ports = ports
        self.berths = tuple(berths)
        self.health = health
        self.folder = folder
        self.port = ports.reserve(plan.balancer.port)
        self.executable = find(self.program)

    def choose(self) -> int:
        """Return the balancer's own port: it chooses the instance itself, request by request."""
        return self.port

    def towards(self, port: int) -> int:
        """Return the balancer's own port."""
        return self.port

    def dismiss(self, port: int) -> None:
        """Say nothing: it has to notice by itself."""

    async def start(self, argv: Sequence[str]) -> None:
        """Start the program."""
        self.ports.hand_over(self.port)
        self.process = await self.processes.start(
            self.program, [self.executable, *argv], env={"PATH": os.defpath}, cwd=self.folder
        )

    async def __aexit__(self, *exc: object) -> None:
        """Leave the program to the processes that it belongs to."""

    async def until(self, condition: Callable[[], Awaitable[bool]], *, otherwise: str) -> None:
        """Return once `condition` holds.

        Raises:
            PlanError: it does not hold in ten seconds, or the program has ended.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NOTICED_WITHIN):
                while self.process.exit_code is None:
                    if await condition():
                        return
                    await asyncio.sleep(0.05)
        output = "\n    ".join(self.process.last_output())
        raise PlanError(f"{otherwise}. Its last output:\n    {output}")


def find(program: str) -> str:
    """Return where `program` is installed.

    Raises:
        PlanError: nowhere.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/opt/homebrew/bin"])
    found = shutil.which(program, path=path)
    if found is None:
        raise PlanError(
            f"{program} is not installed. Install it (apt-get install {program}, or brew install {program}), "
            "or rehearse behind the balancer that needs nothing: --balancer direct"
        )
    return found
