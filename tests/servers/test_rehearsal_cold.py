"""No request reaches a cold worker of a fleet that is rolled, and a rehearsal where one does says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support import require_module, require_program
from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.ledger import read
from zdlife.rehearsal.life import read_reports
from zdlife.rehearsal.plan import Plan, ServerName, parse
from zdlife.rehearsal.result import Snapshot
from zdlife.rehearsal.run import rehearse

pytestmark = pytest.mark.anyio
FOLDER = Path(__file__).parent / "stall"
HEATING = 1.5
WORKERS = 3
PLAN: dict[str, dict[str, Any]] = {
    "app": {
        "service": "stall",
        "asgi": "warmed:asgi",
        "wsgi": "warmed:wsgi",
        "env": {"STALL_HEATING": str(HEATING)},
    },
    "fleet": {"instances": 1, "workers": WORKERS, "rolls": 2},
    "load": {"rate": 60, "timeout": 10, "warm_up": 0.5, "cool_down": 0.5, "requests": [{"kind": "new connection"}]},
    "balancer": {"lag": 0.5},
    "settings": {"settle": 0.8, "settle_quiet": 0.2, "settle_max": 1.5, "drain": 5, "cleanup": 1, "grace": 10},
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def plan(**tables: dict[str, Any]) -> Plan:
    """Return the plan with some keys of some tables changed."""
    return parse({**PLAN, **{name: {**PLAN[name], **keys} for name, keys in tables.items()}}, file=FOLDER / "plan.toml")


@pytest.mark.parametrize("server", ["gunicorn-sync", "uvicorn-workers", "granian"])
async def test_no_request_reaches_a_cold_worker_while_the_fleet_is_rolled(server: ServerName) -> None:
    require_module(server.partition("-")[0])
    seen: set[str] = set()

    def look(snapshot: Snapshot) -> None:
        seen.update(view.phase for view in snapshot.instances)

    run = await rehearse(plan(), server=server, watch=look)
    assert (run.cold, run.verdict) == ((), "nothing lost")
    assert [len(instance.arrivals) for instance in run.instances] == [WORKERS] * 3
    for instance in run.instances:
        assert all(at - instance.phases[0].at >= HEATING for at in instance.arrivals.values())
    assert "warming" in seen


@pytest.mark.parametrize("server", ["gunicorn-sync", "uvicorn-workers"])
async def test_a_worker_that_takes_the_place_of_a_killed_one_warms_again_before_it_serves(
    server: ServerName, tmp_path: Path
) -> None:
    require_module(server.partition("-")[0])
    killed: list[int] = []

    def kill_one(snapshot: Snapshot) -> None:
        if snapshot.step == "warming up" and not killed:
            killed.append(read_reports(tmp_path / "stall-old-1.report.json")[0]["pid"])
            os.kill(killed[0], signal.SIGKILL)

    run = await rehearse(plan(load={"warm_up": 6}, fleet={"rolls": 1}), server=server, watch=kill_one, folder=tmp_path)
    assert run.cold == ()
    assert {request.instance for request in run.failed} <= {"stall-old-1"}
    ready = run.instances[0].arrivals.keys()
    assert len(ready) == WORKERS + 1
    told = read({"stall-old-1": tmp_path / "stall-old-1.ledger"}, Clock())
    served = {beginning.pid for entry in told.values() for beginning in entry.beginnings}
    assert ready - set(killed) <= served


async def test_an_instance_that_is_taken_for_ready_too_soon_serves_cold_and_says_why() -> None:
    run = await rehearse(plan(app={"health": "/"}), server="gunicorn-sync")
    assert (run.verdict, run.failed) == ("served cold", ())
    worst = max(request.cold or 0 for request in run.cold)
    assert HEATING / 2 < worst < HEATING + 1
    assert {request.instance for request in run.cold} == {"stall-old-1", "stall-new-1", "stall-old-2"}
    [finding] = [finding for finding in run.findings if "served cold" in finding]
    assert "let health in [app] be /readyz" in finding


async def test_nginx_sends_to_whoever_listens_and_so_serves_cold() -> None:
    require_program("nginx")
    run = await rehearse(plan(), server="uvicorn-workers", balancer="nginx")
    assert (run.verdict, run.failed) == ("served cold", ())
    [finding] = [finding for finding in run.findings if "served cold" in finding]
    assert "nginx without health checks sends to whoever listens" in finding


async def test_a_bare_application_tells_nothing_of_its_workers_and_is_not_judged() -> None:
    run = await rehearse(plan(fleet={"rolls": 1}), server="gunicorn-sync", with_zdlife=False)
    assert run.cold == ()
    assert [dict(instance.arrivals) for instance in run.instances] == [{}, {}]
