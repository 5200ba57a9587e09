"""Run every trial that was asked for, one after the other: each server behind each balancer, with its control."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TypeVar

from zdlife.errors import WrongUse
from zdlife.rehearsal.plan import BALANCER_NAMES, SERVER_NAMES, BalancerName, Plan, ServerName
from zdlife.rehearsal.result import Run, Snapshot, Trial
from zdlife.rehearsal.run import rehearse
from zdlife.rehearsal.servers import SERVERS, application

ALL = "all"
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. What is None is as the plan has it."""

    servers: tuple[ServerName, ...]
    balancers: tuple[BalancerName, ...]
    with_zdlife: bool = True
    rolls: int | None = None
    rate: float | None = None
    instances: int | None = None

    def sides(self, plan: Plan) -> tuple[bool, ...]:
        """Return with and without zdlife, in the order in which each trial runs them."""
        if not self.with_zdlife:
            return (False,)
        return (True, False) if plan.control else (True,)

    def runs(self, plan: Plan) -> int:
        """Return how many runs this is."""
        return len(self.servers) * len(self.balancers) * len(self.sides(plan))


def servers(plan: Plan, *, named: Sequence[str]) -> tuple[ServerName, ...]:
    """Return the servers to rehearse on: those named, the plan's own when none is, or `all` that it has an app for.

    Raises:
        WrongUse: a name is not a server's; the message names the nearest.
    """
    if ALL in named:
        return tuple(name for name in SERVER_NAMES if _has_app(plan, name))
    return _known(named, among=SERVER_NAMES, kind="server") or plan.default_servers


def balancers(plan: Plan, *, named: Sequence[str]) -> tuple[BalancerName, ...]:
    """Return the balancers to rehearse behind: those named, or the plan's own when none is.

    Raises:
        WrongUse: a name is not a balancer's; the message names the nearest.
    """
    if ALL in named:
        return BALANCER_NAMES
    return _known(named, among=BALANCER_NAMES, kind="balancer") or (plan.balancer.name,)


def check(plan: Plan, order: Order) -> None:
    """Find what would stop a later trial before the first one begins.

    Raises:
        PlanError: a server is not installed, or the plan has no app for it.
    """
    for server in order.servers:
        for with_zdlife in order.sides(plan):
            application(plan, server, with_zdlife=with_zdlife)


async def trials(
    plan: Plan, order: Order, *, watch: Callable[[Snapshot], None], finish: Callable[[Run], None]
) -> list[Trial]:
    """Return every trial of the order. `watch` sees each run while it lasts, `finish` when it is over."""
    found: list[Trial] = []
    for server in order.servers:
        for balancer in order.balancers:
            pair: list[Run] = []
            for with_zdlife in order.sides(plan):
                run = await rehearse(
                    plan,
                    server=server,
                    balancer=balancer,
                    rolls=order.rolls,
                    rate=order.rate,
                    instances=order.instances,
                    with_zdlife=with_zdlife,
                    watch=watch,
                )
                run = replace(run, settings=dict(_settings(plan, order)))
                finish(run)
                pair.append(run)
            found.append(Trial(*pair))
    return found


def _has_app(plan: Plan, server: ServerName) -> bool:
    return (plan.app.asgi if SERVERS[server].interface == "asgi" else plan.app.wsgi) is not None


def _known(named: Sequence[str], *, among: Sequence[Name], kind: str) -> tuple[Name, ...]:
    """Return the names in the order given, each once."""
    valid: dict[str, Name] = {name: name for name in among}
    for name in named:
        if name not in valid:
            near = max(among, key=lambda known: SequenceMatcher(None, name, known).ratio())
            raise WrongUse(
                f'there is no {kind} "{name}". Did you mean "{near}"? It is one of {", ".join(among)}, or {ALL}.'
            )
    return tuple(valid[name] for name in dict.fromkeys(named))


def _settings(plan: Plan, order: Order) -> Iterator[tuple[str, str]]:
    """Yield what was in force, for those who read the report later."""
    yield "plan", plan.file.name
    yield "instances", str(order.instances or plan.fleet.instances)
    yield "workers", str(plan.fleet.workers)
    yield "lag of the balancer direct", f"{plan.balancer.lag:g} s"
    for name, value in plan.settings.environment().items():
        yield name, f"{value} s"
