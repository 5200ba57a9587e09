"""The hooks work with the gunicorns of the last years; the newest that is installed is in all the other tests."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from support import eventually, require_release
from support.clients import Call, get
from support.servers import SERVERS, Instance

KINDS: Mapping[str, tuple[str, ...]] = {
    "gunicorn==22.0.0": ("sync", "gthread"),
    "gunicorn==23.0.0": ("sync", "gthread"),
    "gunicorn==25.3.0": ("sync", "gthread", "asgi"),
}


@pytest.mark.parametrize(
    ("requirement", "kind"),
    [
        pytest.param(requirement, kind, id=f"{kind}@{requirement}")  # One process fetches a release.
        for requirement, kinds in KINDS.items()
        for kind in kinds
    ],
)
def test_an_older_gunicorn_settles_finishes_what_was_begun_and_reports(
    requirement: str, kind: str, tmp_path: Path
) -> None:
    times = {"ZDLIFE_SETTLE": "1.5", "ZDLIFE_SETTLE_QUIET": "0.2"}
    server, packages = SERVERS[f"gunicorn-{kind}"].with_workers(2), require_release(requirement)
    with Instance(server, tmp_path, environment=times, packages=packages) as instance:
        instance.wait_until_ready()
        assert f"Starting gunicorn {requirement.removeprefix('gunicorn==')}" in instance.output
        with Call(instance.port) as slow:
            slow.send("GET", "/hold?gate=slow")
            instance.wait_until_at("slow")
            instance.signal(signal.SIGTERM)
            eventually(lambda: get(instance.port, "/readyz").status == 503, within=1.4)
            newcomer = get(instance.port, "/")
            assert (newcomer.status, newcomer.closes) == (200, True)
            instance.wait_until(lambda: "draining" in phases_seen(instance), why="the settle is over")
            instance.open_gate("slow")
            assert slow.read().body == b"held"
        assert instance.wait_for_exit() == 0
        assert instance.left_in < 8, "it waited for connections that were closed"
        instance.others_end()
        report = instance.report
        assert (report["clean"], report["cause"], report["cut"]) == (True, "SIGTERM", [])
        assert report["late_arrivals"]["count"] == 0
        assert sum(passage["requests"] for passage in report["phases"]) == 2


def phases_seen(instance: Instance) -> set[str]:
    return {phase for phase in ("settling", "draining") if instance.pid in instance.phases(phase)}
