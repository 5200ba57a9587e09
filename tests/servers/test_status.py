"""`zdlife status` and the status page tell what a real instance is doing, from its start to its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import eventually
from support.arriving import Arriving, arriving
from support.clients import Call

COMMAND = [sys.executable, "-c", "from zdlife.cli import run; run()", "status"]


def status(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return the ended command."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def said(found: Arriving) -> tuple[int, str]:
    """Return the exit code and what is shown."""
    ended = status(str(found.management))
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("name", ["gunicorn-sync", "uvicorn-workers"])
def test_an_instance_is_seen_to_be_ready_to_hold_a_request_and_to_leave(name: str, tmp_path: Path) -> None:
    with arriving(name, tmp_path) as found:
        found.wait_until_ready()
        assert said(found)[0] == 0
        call = Call(found.port).send("GET", "/block?gate=held")
        found.instance.wait_until_at("held")
        code, shown = said(found)
        assert code == 0
        assert "/block" in shown
        assert "/block" in found.probe("/").body.decode()

        found.instance.signal(signal.SIGTERM)
        found.wait_for_reasons("settling")
        code, shown = said(found)
        assert code == 1
        assert "LEAVING" in shown.splitlines()[0]
        assert "Leaving</h1>" in found.probe("/").body.decode()
        found.instance.open_gate("held")
        assert call.read().status == 200
        call.close()


def test_the_page_that_spawned_workers_share_tells_the_same_as_the_management_port(tmp_path: Path) -> None:
    with arriving("uvicorn-workers", tmp_path) as found:
        found.wait_until_ready()
        (board,) = tmp_path.glob("*.board")

        def seen() -> dict[str, Any]:
            ended = status("--board", str(board), "--json")
            assert ended.returncode == 0, ended.stderr
            return dict(json.loads(ended.stdout))

        eventually(lambda: seen()["checks"], within=20, why="the workers have told of their checks")
        facts, asked = seen(), found.status()
        for key in ("service", "version", "instance", "phase", "status", "ready"):
            assert facts[key] == asked[key]
        assert [worker["pid"] for worker in facts["workers"]["each"]] == sorted(found.instance.workers())
        assert status("--board", str(board)).stdout.splitlines()[0].startswith("  ✓ READY ")
