"""Whole rehearsals, small ones: what loses must lose, what keeps must keep, and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support import eventually, require_program
from zdlife.errors import PlanError
from zdlife.rehearsal.plan import Plan, parse
from zdlife.rehearsal.result import Kind, Outcome, Run, Snapshot
from zdlife.rehearsal.run import rehearse

pytestmark = pytest.mark.anyio
FOLDER = Path(__file__).parent / "stall"
QUICK = {
    "app": {
        "service": "stall",
        "asgi": "plain:asgi",
        "wsgi": "plain:wsgi",
        "bare_asgi": "plain:bare_asgi",
        "bare_wsgi": "plain:bare_wsgi",
    },
    "fleet": {"instances": 1, "rolls": 2},
    "load": {
        "rate": 80,
        "timeout": 10,
        "warm_up": 0.5,
        "cool_down": 0.5,
        "requests": [{"kind": "new connection"}, {"kind": "keep-alive"}, {"kind": "post", "json": {"tea": 2}}],
        "stream": {"path": "/stream", "ends_with": "the end", "every": 60},
        "upload": {"path": "/upload", "contains": "262144 bytes", "seconds": 1.5, "every": 60},
        "websocket": {"path": "/ws", "count": 2},
    },
    "balancer": {"lag": 1.0},
    "settings": {"settle": 1.5, "settle_quiet": 0.4, "settle_max": 2.5, "drain": 6, "cleanup": 1, "grace": 12},
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def plan(**tables: dict[str, Any]) -> Plan:
    """Return the quick plan, with some keys of some tables changed."""
    changed = {name: {**QUICK.get(name, {}), **keys} for name, keys in tables.items()}
    return parse({**QUICK, **changed}, file=FOLDER / "rehearsal.toml")


def outcomes(run: Run) -> Counter[Outcome]:
    return Counter(request.outcome for request in run.requests)


async def test_a_bare_server_loses_what_arrives_after_its_stop_signal() -> None:
    run = await rehearse(plan(), server="uvicorn", with_zdlife=False)
    assert run.verdict == "requests lost"
    assert set(run.by_failure) == {"refused"}
    assert {request.instance for request in run.failed} <= {"stall-old-1", "stall-new-1"}
    assert [life.exit_code for life in run.instances] == [-15, -15, -15]
    assert any("without zdlife there is no settle" in finding for finding in run.findings)
    assert any("ended with exit code -15" in finding for finding in run.findings)
    assert [span.phase for span in run.instances[0].phases] == ["starting", "ready", "stopping"]


async def test_with_zdlife_nothing_is_lost_and_what_was_under_way_is_whole() -> None:
    snapshots: list[Snapshot] = []
    run = await rehearse(plan(), server="uvicorn", watch=snapshots.append)
    assert (run.verdict, run.by_failure) == ("nothing lost", {})
    assert outcomes(run) == {Outcome.OK: len(run.requests)}
    kinds = Counter(request.kind for request in run.requests)
    assert kinds[Kind.STREAM] == kinds[Kind.UPLOAD] == 3
    assert run.websockets == {"1012": 4}
    assert [(life.name, life.release, life.exit_code, life.clean) for life in run.instances] == [
        ("stall-old-1", "1", 0, True),
        ("stall-new-1", "2", 0, True),
        ("stall-old-2", "1", 0, True),
    ]
    first = {span.phase: span for span in run.instances[0].phases}
    assert first["settling"].at == pytest.approx(run.instances[0].told_to_stop_at, abs=0.5)
    assert first["settling"].requests > 0
    assert {request.release for request in run.requests} == {"1", "2"}
    seen = {(view.name, view.phase) for snapshot in snapshots for view in snapshot.instances}
    assert {("stall-old-1", "ready"), ("stall-old-1", "settling"), ("stall-new-1", "ready")} <= seen
    assert snapshots[-1].sent == len(run.requests)
    assert snapshots[-1].in_progress == 0


async def test_a_stream_and_an_upload_are_under_way_when_their_instance_is_told_to_stop(tmp_path: Path) -> None:
    run = await rehearse(plan(fleet={"instances": 1, "rolls": 1}), server="gunicorn-gthread", folder=tmp_path / "kept")
    (told, _) = (life.told_to_stop_at for life in run.instances)
    straddling = {
        request.kind
        for request in run.requests
        if request.instance == "stall-old-1" and request.at < (told or 0) < request.at + request.seconds
    }
    assert {Kind.STREAM, Kind.UPLOAD} <= straddling
    assert run.verdict == "nothing lost"
    kept = {file.name for file in (tmp_path / "kept").iterdir()}
    assert {"stall-old-1.log", "stall-old-1.ledger", "stall-old-1.report.json", "stall-new-1.log"} <= kept


async def test_a_settle_shorter_than_the_lag_loses_requests_and_says_what_to_raise() -> None:
    short = plan(settings={"settle": 0.3, "settle_quiet": 0.0, "settle_max": 0.3}, balancer={"lag": 1.5})
    run = await rehearse(short, server="uvicorn")
    assert run.verdict == "requests lost"
    assert run.findings[0].startswith("requests arrived up to 1.")
    assert "after the settle of stall-" in run.findings[0]
    assert "raise ZDLIFE_SETTLE to 2" in run.findings[0]


async def test_haproxy_and_the_hooks_lose_nothing_together() -> None:
    require_program("haproxy")
    run = await rehearse(plan(), server="gunicorn-gthread", balancer="haproxy")
    assert (run.verdict, run.by_failure) == ("nothing lost", {})


async def test_behind_haproxy_a_bare_server_loses_requests_on_a_known_instance() -> None:
    require_program("haproxy")
    run = await rehearse(plan(), server="uvicorn", balancer="haproxy", with_zdlife=False)
    assert {request.status for request in run.failed} == {503}
    assert {request.instance for request in run.failed} <= {"stall-old-1", "stall-new-1"}


async def test_nginx_passes_over_the_empty_berths_and_nothing_is_lost() -> None:
    require_program("nginx")
    run = await rehearse(plan(), server="uvicorn", balancer="nginx")
    assert (run.verdict, run.by_failure) == ("nothing lost", {})
    assert {request.release for request in run.requests} == {"1", "2"}


async def test_an_app_that_cannot_be_imported_is_shown_with_its_last_words() -> None:
    broken = plan(app={"env": {"STALL_BREAK": "import"}})
    with pytest.raises(PlanError, match=r"(?s)stall-old-1 ended with exit code .* before it was ready.*no bread"):
        await rehearse(broken, server="uvicorn")


async def test_an_app_that_never_becomes_ready_is_shown_with_what_it_answers() -> None:
    broken = plan(app={"env": {"STALL_BREAK": "never-ready"}}, fleet={"ready_within": 3.0})
    with pytest.raises(PlanError, match=r"not ready within 3 s \(GET /: 503 .*Raise ready_within"):
        await rehearse(broken, server="uvicorn", with_zdlife=False)


async def test_a_new_release_that_never_becomes_ready_halts_the_deploy_and_loses_nothing() -> None:
    releases = {"old": {"version": "1"}, "new": {"version": "2", "env": {"STALL_BREAK": "import"}}}
    run = await rehearse(plan(releases=releases), server="uvicorn")
    assert run.verdict == "aborted"
    assert "stall-new-1 ended with exit code" in (run.aborted or "")
    assert run.failed == ()
    assert len(run.requests) > 50


async def test_a_port_of_the_plan_that_is_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PlanError, match=rf"port {port} is in use\."):
            await rehearse(plan(fleet={"port": port}), server="uvicorn")


async def test_a_program_that_is_missing_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(PlanError, match=r"haproxy is not installed\. Install it"):
        await rehearse(plan(), server="uvicorn", balancer="haproxy")


async def test_a_rehearsal_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    steps: list[str] = []

    def begun(snapshot: Snapshot) -> None:
        steps.append(snapshot.step)

    rehearsal = asyncio.create_task(rehearse(plan(), server="uvicorn", watch=begun, folder=tmp_path))
    async with asyncio.timeout(30):
        while "warming up" not in steps:
            await asyncio.sleep(0.05)
    assert instances_in(tmp_path)
    rehearsal.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rehearsal
    assert eventually(lambda: not instances_in(tmp_path))


async def test_an_instance_that_ends_by_itself_is_told_and_its_losses_are_counted(tmp_path: Path) -> None:
    def end_one(snapshot: Snapshot) -> None:
        if snapshot.step == "warming up" and not ended:
            ended.append(instances_in(tmp_path / "stall-old-2.ledger")[0])
            os.kill(ended[0], signal.SIGKILL)

    ended: list[int] = []
    two = plan(fleet={"instances": 2, "rolls": 2}, load={"stream": None, "upload": None, "websocket": None})
    run = await rehearse(two, server="uvicorn", watch=end_one, folder=tmp_path)
    assert "stall-old-2 ended by itself, with exit code -9: start it by hand to see why" in run.findings
    assert {request.instance for request in run.failed} == {"stall-old-2"}
    assert run.aborted is None


def instances_in(folder: Path) -> list[int]:
    """Return the processes that write their ledger into `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                if f"REHEARSAL_LEDGER={folder}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
