"""What goes wrong while an instance starts, serves or leaves. Each docstring states what comes of it."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import eventually
from support.clients import Call, get
from support.servers import SERVERS, Instance

ID = {"X-Request-Id": "r-4711"}
HURRIED = {
    "ZDLIFE_SETTLE": "0.3",
    "ZDLIFE_SETTLE_QUIET": "0.1",
    "ZDLIFE_SETTLE_MAX": "0.3",
    "ZDLIFE_DRAIN": "1",
    "ZDLIFE_CLEANUP": "1",
    "ZDLIFE_GRACE": "8",
}
GRACE = 8.0


def begin_slow(instance: Instance, call: Call, path: str = "/hold") -> int:
    """Begin a request that does not end, and return the process that holds it."""
    call.send("GET", f"{path}?gate=never", headers=ID)
    instance.wait_until_at("never")
    return instance.marks("at-never")[0]


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-uvicorn"])
def test_a_worker_killed_in_the_middle_of_a_request_is_reported_with_the_request_it_held(
    name: str, tmp_path: Path
) -> None:
    """gunicorn: another worker takes its place; the instance's report counts one lost worker and names the request."""
    with Instance(SERVERS[name], tmp_path) as instance:
        instance.wait_until_ready()
        with Call(instance.port) as call:
            victim = begin_slow(instance, call)
            os.kill(victim, signal.SIGKILL)
            before = instance.workers()
            instance.wait_until(lambda: instance.workers() - before, why="another worker is ready")
        assert get(instance.port, "/readyz").status == 200
        instance.signal(signal.SIGTERM)
        assert instance.wait_for_exit() == 0
        report = instance.report
        assert report["workers_lost"] == 1
        assert report["clean"] is False
        (cut,) = report["cut"]
        assert (cut["id"], cut["method"], cut["route"], cut["pid"]) == ("r-4711", "GET", "/hold", victim)
        assert cut["age"] > 0


def test_a_uvicorn_worker_killed_in_the_middle_of_a_request_is_named_by_its_replacement(tmp_path: Path) -> None:
    """uvicorn --workers: the replacement finds the seat of the dead, counts it and names its request in the log."""
    with Instance(SERVERS["uvicorn-workers"], tmp_path) as instance:
        instance.wait_until_ready()
        with Call(instance.port) as call:
            victim = begin_slow(instance, call)
            os.kill(victim, signal.SIGKILL)
            before = instance.workers()
            instance.wait_until(lambda: instance.workers() - before, why="another worker is ready")
        (found,) = instance.journal(f"worker {victim} died with r-4711 GET /hold in flight")
        assert found.zdlife["pid"] == victim
        assert [(piece["id"], piece["route"]) for piece in found.zdlife["in_flight"]] == [("r-4711", "/hold")]
        instance.signal(signal.SIGTERM)
        assert instance.wait_for_exit() == 0
        assert 1 in [report["workers_lost"] for report in instance.reports()]


@pytest.mark.parametrize(
    "name",
    [
        "gunicorn-sync",
        "gunicorn-gthread",
        "gunicorn-asgi",
        "gunicorn-uvicorn",
        "uvicorn-workers",
        "granian-2",
        "hypercorn-2",
    ],
)
def test_the_workers_of_a_master_that_is_killed_finish_their_request_and_end(name: str, tmp_path: Path) -> None:
    """What is in flight is finished, and every process ends by itself; without zdlife, some would serve on for ever."""
    # gunicorn's idle sync workers look after their master twice in a timeout.
    extra = ("--timeout", "4") if name == "gunicorn-sync" else ()
    with Instance(SERVERS[name], tmp_path, extra=extra) as instance:
        instance.wait_until_ready()
        with Call(instance.port) as call:
            call.send("GET", "/hold?gate=slow")
            instance.wait_until_at("slow")
            instance.signal(signal.SIGKILL)
            assert instance.wait_for_exit() == -signal.SIGKILL
            instance.open_gate("slow")
            assert call.read().body == b"held"
        instance.others_end()


@pytest.mark.parametrize(
    "name",
    [
        *("gunicorn-sync", "gunicorn-gthread", "gunicorn-asgi", "gunicorn-uvicorn"),
        *("gunicorn-sync-alone", "gunicorn-uvicorn-alone", "uvicorn", "uvicorn-workers", "granian-2", "hypercorn"),
    ],
)
def test_a_request_that_hangs_is_named_at_the_deadline(name: str, tmp_path: Path) -> None:
    """It is named with id, method, route, age and stack; the report is unclean; the instance ends inside the grace."""
    with Instance(SERVERS[name], tmp_path, environment=HURRIED) as instance:
        instance.wait_until_ready()
        with Call(instance.port) as call:
            begin_slow(instance, call)
            instance.signal(signal.SIGTERM)
            instance.wait_for_exit()
        assert instance.left_in < GRACE
        instance.others_end(within=2)
        cut = [(report, piece) for report in instance.reports() for piece in report["cut"]]
        assert len(cut) == 1, instance.reports()
        report, piece = cut[0]
        assert (piece["id"], piece["method"], piece["route"]) == ("r-4711", "GET", "/hold")
        assert piece["age"] >= 1
        assert any("pass_gate" in frame or "wait_at" in frame for frame in piece["stack"])
        assert report["clean"] is False
        assert report["forced"]


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-sync-alone", "gunicorn-gthread"])
def test_an_upload_whose_client_has_fallen_silent_is_named_at_the_deadline(name: str, tmp_path: Path) -> None:
    """The worker waits in a read that nothing ends; it leaves with the others, and says what held it."""
    with Instance(SERVERS[name], tmp_path, environment=HURRIED) as instance:
        instance.wait_until_ready()
        with Call(instance.port) as call:
            call.send("POST", "/upload", headers={**ID, "Content-Length": "1000"}, body=b"not all")
            instance.wait_until_at("upload")
            instance.signal(signal.SIGTERM)
            instance.wait_for_exit()
        assert instance.left_in < GRACE
        cut = [piece for report in instance.reports() for piece in report["cut"]]
        assert [(piece["id"], piece["route"]) for piece in cut] == [("r-4711", "/upload")]


@pytest.mark.parametrize(
    "name",
    [
        *("gunicorn-asgi", "gunicorn-asgi-alone", "gunicorn-uvicorn", "uvicorn", "uvicorn-workers"),
        *("granian", "hypercorn", "hypercorn-2"),
    ],
)
def test_a_blocked_event_loop_is_named_at_the_deadline(name: str, tmp_path: Path) -> None:
    """Nothing of the server's can run any more; what blocks it is named all the same, and ends inside the grace."""
    with Instance(SERVERS[name], tmp_path, environment=HURRIED) as instance:
        instance.wait_until_ready()
        with Call(instance.port) as call:
            begin_slow(instance, call, "/block")
            instance.signal(signal.SIGTERM)
            instance.wait_for_exit()
        assert instance.left_in < GRACE
        instance.others_end(within=2)
        cut = [(report, piece) for report in instance.reports() for piece in report["cut"]]
        assert len(cut) == 1, instance.reports()
        report, piece = cut[0]
        assert (piece["id"], piece["method"], piece["route"]) == ("r-4711", "GET", "/block")
        assert report["clean"] is False


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder with no room for the board's page, and what a command must begin with to find it so."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
        ).returncode
        == 0
    )
    if mounted:
        try:
            yield folder, []
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    else:
        limit = (
            f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, {resource.RLIM_INFINITY}))"
        )
        yield folder, [sys.executable, "-c", f"{limit}; os.execv(sys.argv[1], sys.argv[1:])"]


@pytest.mark.parametrize("name", ["uvicorn-workers", "granian-2"])
def test_a_full_disk_costs_a_warning_and_nothing_else(
    name: str, tmp_path: Path, full_disk: tuple[Path, list[str]]
) -> None:
    """Without the page each worker says so once, serves, and leaves in order on its own."""
    folder, prefix = full_disk
    server = SERVERS[name]
    instance = Instance(server, tmp_path / "instance", environment={"ZDLIFE_BOARD_DIR": str(folder)}, prefix=prefix)
    with instance:
        instance.wait_until_ready()
        assert get(instance.port, "/").status == 200
        instance.signal(signal.SIGTERM)
        eventually(lambda: get(instance.port, "/readyz").status == 503, within=1.5)
        assert instance.wait_for_exit() == 0
        warnings = instance.journal("workers of this instance do not see each other")
        assert sorted(note.pid for note in warnings) == sorted(instance.workers())
        assert all("Make room there" in note.said for note in warnings)
        assert [report["clean"] for report in instance.reports()] == [True] * server.reports


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-asgi", "gunicorn-uvicorn"])
def test_sigterm_before_the_application_is_loaded_ends_gunicorn_inside_the_grace_period(
    name: str, tmp_path: Path
) -> None:
    """The workers import it and do not end by themselves: exit code 0, no process left."""
    with Instance(SERVERS[name], tmp_path, environment={**HURRIED, "TEST_HOLD_IMPORT": "1"}) as instance:
        instance.wait_until_at("import")
        instance.signal(signal.SIGTERM)
        assert instance.wait_for_exit() == 0
        assert instance.left_in < GRACE
        instance.others_end(within=2)


@pytest.mark.parametrize(
    "name",
    ["gunicorn-gthread-alone", "gunicorn-asgi-alone", "uvicorn", "uvicorn-workers", "hypercorn", "hypercorn-2"],
)
def test_sigterm_before_the_application_is_loaded_ends_the_server(name: str, tmp_path: Path) -> None:
    """No line of zdlife has run: the server ends when the import does, by its own means, and leaves no process.

    granian forgets a SIGTERM that comes so early, with and without zdlife, and is left to SIGKILL; so does gunicorn's
    asgi worker, whose master then ends it at its own deadline.
    """
    extra = ("--graceful-timeout", "5") if name.startswith("gunicorn") else ()
    with Instance(SERVERS[name], tmp_path, environment={**HURRIED, "TEST_HOLD_IMPORT": "1"}, extra=extra) as instance:
        instance.wait_until_at("import")
        instance.signal(signal.SIGTERM)
        instance.open_gate("import")
        instance.wait_for_exit()
        instance.others_end()


@pytest.mark.parametrize("name", ["gunicorn-asgi", "gunicorn-uvicorn", "uvicorn", "uvicorn-workers", "hypercorn"])
def test_sigterm_during_a_slow_lifespan_startup_is_obeyed_without_a_settle(name: str, tmp_path: Path) -> None:
    """Nobody has seen it ready, so nobody is waited for: it ends as soon as its startup does, and cleanly.

    granian and the workers of hypercorn hear of the signal when they have started, and settle then.
    """
    long = {"ZDLIFE_SETTLE": "20", "ZDLIFE_SETTLE_MAX": "20", "ZDLIFE_GRACE": "60"}
    server = SERVERS[name]
    with Instance(server, tmp_path, environment={**long, "TEST_HOLD_STARTUP": "1"}) as instance:
        instance.wait_until_at("startup", times=server.processes)
        instance.signal(signal.SIGTERM)
        instance.wait_until(lambda: len(instance.marks("on-drain")) == server.processes, why="every process is told")
        instance.open_gate("startup")
        instance.wait_for_exit(within=19)
        instance.others_end()
        assert sorted(instance.marks("lifespan-shutdown")) == sorted(instance.marks("lifespan-startup"))
        assert "settling" not in [passage["phase"] for report in instance.reports() for passage in report["phases"]]


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-asgi", "gunicorn-uvicorn", "uvicorn-workers"])
def test_hup_and_then_sigterm_at_once_ends_the_instance(name: str, tmp_path: Path) -> None:
    """Readiness turns red and stays so; exit code 0, no process left, the report clean."""
    with Instance(SERVERS[name], tmp_path) as instance:
        instance.wait_until_ready()
        instance.signal(signal.SIGHUP, signal.SIGTERM)
        if name != "uvicorn-workers":  # Its parent tells the workers of the SIGTERM only when the reload is over.
            # Of two signals at once gunicorn 27 may see neither before its main loop's next turn, a second later.
            assert eventually(lambda: get(instance.port, "/readyz").status == 503, within=2.5)
        assert instance.wait_for_exit() == 0
        instance.others_end(within=2)
        assert all(report["clean"] for report in instance.reports())


@pytest.mark.parametrize("name", ["gunicorn-gthread", "gunicorn-uvicorn", "uvicorn", "granian"])
def test_switched_off_zdlife_does_nothing_at_all(name: str, tmp_path: Path) -> None:
    """No probe, no header, no report, no settle, no log: the server leaves by itself, as fast as it does."""
    off = {"ZDLIFE_ENABLED": "false", "ZDLIFE_SETTLE": "25"}
    with Instance(SERVERS[name], tmp_path, environment=off) as instance:
        instance.wait_until(lambda: answers_at(instance.port) == 200, why="it serves")
        assert get(instance.port, "/readyz").status == 404
        assert get(instance.port, "/livez").status == 404
        instance.signal(signal.SIGTERM)
        assert instance.wait_for_exit(within=20) == (-signal.SIGTERM if name == "uvicorn" else 0)
        assert (instance.reports(), instance.journal(), instance.marks("on-stop")) == ([], [], [])


def answers_at(port: int) -> int | None:
    try:
        return get(port, "/").status
    except OSError:
        return None


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread-alone", "uvicorn", "granian"])
def test_a_setting_that_cannot_be_used_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    """The line names the variable, its value and what to do; the server does not start to serve."""
    with Instance(SERVERS[name], tmp_path, environment={"ZDLIFE_SETTLE": "soon"}) as instance:
        eventually(lambda: "ZDLIFE_SETTLE='soon'" in instance.output, within=20)
        line = next(line for line in instance.output.splitlines() if "ZDLIFE_SETTLE='soon'" in line)
        assert "should be a valid number" in line
        assert "Correct or remove it." in line
        if instance.server.hooks:
            assert instance.wait_for_exit() == 2
            assert "Traceback" not in instance.output
            assert instance.output.count("ZDLIFE_SETTLE") == 1
        assert answers_at(instance.port) is None


@pytest.mark.parametrize("name", ["gunicorn-gthread", "uvicorn", "granian", "hypercorn"])
def test_a_port_in_use_ends_the_server_at_once(name: str, tmp_path: Path) -> None:
    """The server says so and ends with an error of its own; zdlife neither holds it up nor claims a clean life."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = SERVERS[name]
        command = server.command(port, application=f"shop_{server.interface}:app")
        with Instance(server, tmp_path, environment={"ZDLIFE_SETTLE": "20"}, command=command) as instance:
            assert instance.wait_for_exit(within=19) != 0
            instance.others_end()
            assert "in use" in instance.output.lower()


def test_a_stop_is_counted_from_the_signal_and_not_from_when_it_is_noticed(tmp_path: Path) -> None:
    """A reload holds gunicorn's master up for as long as an old request takes; the settle runs meanwhile."""
    server = SERVERS["gunicorn-gthread"]
    with Instance(server, tmp_path) as instance:
        instance.wait_until_ready()
        with Call(instance.port) as call:
            call.send("GET", "/hold?gate=slow")
            instance.wait_until_at("slow")
            instance.signal(signal.SIGHUP)
            before = instance.workers()
            instance.wait_until(lambda: len(instance.workers() - before) == 2, why="the new workers are ready")
            asked = time.time()
            instance.signal(signal.SIGTERM)
            assert eventually(lambda: get(instance.port, "/readyz").status == 503, within=0.9)
            instance.open_gate("slow")
            assert call.read().body == b"held"
        assert instance.wait_for_exit() == 0
        report: dict[str, Any] = instance.report
        assert report["clean"]
        assert abs(report["asked_at"] - asked) < 0.5
