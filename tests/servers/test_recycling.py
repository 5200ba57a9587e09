"""Recycling loses nothing: workers that have served their number of requests, and four reloads, all under load.

One instance a server is reloaded; the tests of that share it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import eventually
from support.clients import Load
from support.servers import SERVERS, Instance

RECYCLING = {
    # uvicorn's supervisor asks its workers for a sign of life, one after the other; from one that is just ending none
    # comes, and it waits for that as long as it is told to.
    "uvicorn-workers": ("--timeout-worker-healthcheck", "5", "--limit-max-requests"),
    "gunicorn-sync": ("--max-requests",),
    "gunicorn-gthread": ("--max-requests",),
    "gunicorn-asgi": ("--max-requests",),
    "gunicorn-uvicorn": ("--max-requests",),
}
ENOUGH = 1000
LONG_ENOUGH = 90


@pytest.mark.parametrize("name", RECYCLING)
def test_workers_that_end_after_60_requests_lose_none(name: str, tmp_path: Path) -> None:
    with Instance(SERVERS[name], tmp_path, extra=(*RECYCLING[name], "60")) as instance:
        instance.wait_until_ready()
        with Load(instance.port, fresh=4, kept=6, pause=0.01) as load:
            eventually(lambda: load.sent >= ENOUGH, within=LONG_ENOUGH, every=0.1, why=f"{ENOUGH} requests")
        assert load.failures == {}
        # One that has served its sixty may serve many more before it ends; all the same every worker was replaced.
        assert len(instance.workers()) >= 2 * instance.server.processes


@dataclass
class Reload:
    """What was seen of one instance while it was reloaded four times and then stopped."""

    load: Load
    probes: Load
    exit_code: int
    last_report: dict[str, object]


@pytest.fixture(scope="module", params=[pytest.param(name, id=f"{name}@reload-{name}") for name in RECYCLING])
def reloaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reload]:
    folder = tmp_path_factory.mktemp(request.param)
    times = {"ZDLIFE_SETTLE": "0.5", "ZDLIFE_SETTLE_QUIET": "0.2"}
    with Instance(SERVERS[request.param], folder, environment=times) as instance:
        instance.wait_until_ready()
        with (
            Load(instance.port, fresh=4, kept=6, pause=0.02) as load,
            Load(instance.port, path="/readyz", fresh=1, kept=1, pause=0.02) as probes,
        ):
            for reload in range(1, 5):
                old = instance.workers()
                instance.signal(signal.SIGHUP)
                instance.wait_until(
                    lambda old=old: old <= set(instance.marks("on-stop")), why=f"reload {reload} is done"
                )
            eventually(lambda: load.sent >= ENOUGH, within=LONG_ENOUGH, every=0.1, why=f"{ENOUGH} requests")
        instance.signal(signal.SIGTERM)
        exit_code = instance.wait_for_exit()
        yield Reload(load, probes, exit_code, instance.reports()[-1])


def test_four_reloads_lose_no_request(reloaded: Reload) -> None:
    assert reloaded.load.failures == {}


def test_an_instance_stays_ready_while_it_is_reloaded(reloaded: Reload) -> None:
    assert reloaded.probes.failures == {}


def test_an_instance_that_was_reloaded_leaves_cleanly(reloaded: Reload) -> None:
    assert reloaded.exit_code == 0
    assert reloaded.last_report["clean"] is True
