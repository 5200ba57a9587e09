"""Recycling loses nothing: workers that have served their number of requests, and four reloads, all under load."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support import eventually
from support.clients import Load
from support.servers import SERVERS, Instance

RECYCLING = {
    "gunicorn-sync": "--max-requests",
    "gunicorn-gthread": "--max-requests",
    "gunicorn-asgi": "--max-requests",
    "gunicorn-uvicorn": "--max-requests",
    "uvicorn-workers": "--limit-max-requests",
}
ENOUGH = 1000
LONG_ENOUGH = 60


def served(instance: Instance) -> set[int]:
    """Return the processes that have started the application."""
    return instance.workers()


@pytest.mark.parametrize("name", RECYCLING)
def test_workers_that_end_after_60_requests_lose_none(name: str, tmp_path: Path) -> None:
    with Instance(SERVERS[name], tmp_path, extra=(RECYCLING[name], "60")) as instance:
        instance.wait_until_ready()
        with Load(instance.port, fresh=4, kept=6, pause=0.03) as load:
            eventually(lambda: load.sent >= ENOUGH, within=LONG_ENOUGH, why=f"{ENOUGH} requests")
        assert load.failures == {}
        assert len(served(instance)) >= 8  # a thousand requests, sixty each, and the first of them still being counted
        instance.signal(signal.SIGTERM)
        assert instance.wait_for_exit() == 0


@pytest.mark.parametrize("name", RECYCLING)
def test_four_reloads_lose_no_request(name: str, tmp_path: Path) -> None:
    with Instance(SERVERS[name], tmp_path) as instance:
        instance.wait_until_ready()
        with Load(instance.port, fresh=4, kept=6, pause=0.04) as load:
            for reload in range(1, 5):
                old = served(instance)
                instance.signal(signal.SIGHUP)
                instance.wait_until(
                    lambda old=old: old <= set(instance.marks("on-stop")), why=f"reload {reload} is done"
                )
            eventually(lambda: load.sent >= ENOUGH, within=LONG_ENOUGH, why=f"{ENOUGH} requests")
        assert load.failures == {}
        instance.signal(signal.SIGTERM)
        assert instance.wait_for_exit() == 0
        assert instance.reports()[-1]["clean"]


@pytest.mark.parametrize("name", RECYCLING)
def test_the_instance_stays_ready_while_it_is_recycled(name: str, tmp_path: Path) -> None:
    with Instance(SERVERS[name], tmp_path) as instance:
        instance.wait_until_ready()
        old = served(instance)
        with Load(instance.port, path="/readyz", fresh=2, kept=2, pause=0.02) as probes:
            instance.signal(signal.SIGHUP)
            instance.wait_until(lambda: old <= set(instance.marks("on-stop")), why="the reload is done")
        assert probes.failures == {}
