"""Leaving, under every server: readiness first, then everything that was begun, then order and an exit code of 0.

One departure a server is watched from many sides: its tests share it.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from support import eventually
from support.clients import Call, Response, get
from support.servers import HOOKED, SERVERS, Instance

UPLOAD = bytes(range(256)) * 2000
PARTS, PART = 20, b"0123456789" * 100  # as apps/plain.py has them


@dataclass
class Departure:
    """What was seen while one instance left with a slow request, an upload, a stream and a WebSocket in progress.

    `echo` is the answer to a message in the settle, and `goodbye` the code that the conversation ended with.
    """

    instance: Instance
    readiness: Response
    liveness: Response
    newcomer: Response
    slow: Response
    upload: Response
    stream: Response
    echo: str | None
    goodbye: int | None
    exit_code: int
    reports: list[dict[str, Any]]


def shared(*names: str) -> Any:
    """Parametrise over servers, so that all tests that share one departure run in one process (tests/conftest.py)."""
    return [pytest.param(name, id=f"{name}@leaving-{name}") for name in names]


@pytest.fixture(scope="module", params=shared(*SERVERS))
def departure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Departure]:
    folder = tmp_path_factory.mktemp(request.param)
    times = {"ZDLIFE_SETTLE": "1.5", "ZDLIFE_SETTLE_MAX": "4"}
    with Instance(SERVERS[request.param], folder, environment=times) as instance:
        instance.wait_until_ready()
        port = instance.port
        with ExitStack() as calls:
            slow, upload, stream = (calls.enter_context(Call(port)) for _ in range(3))
            talk = calls.enter_context(talking(port)) if instance.server.interface == "asgi" else None
            slow.send("GET", "/hold?gate=slow")
            upload.send("POST", "/upload", headers={"Content-Length": str(len(UPLOAD))}, body=UPLOAD[:1000])
            stream.send("GET", "/stream?gate=stream")
            for gate in ("slow", "upload", "stream"):
                instance.wait_until_at(gate)

            instance.signal(signal.SIGTERM)
            readiness = eventually(lambda: red(get(port, "/readyz")), within=1.4)
            liveness = get(port, "/livez")
            newcomer = get(port, "/")
            echo = None if talk is None else answer_to("still there?", talk)
            serving = instance.workers()
            instance.wait_until(lambda: serving <= instance.phases("draining"), why="the settle is over everywhere")
            instance.open_gate("slow")
            instance.open_gate("stream")
            upload.more(UPLOAD[1000:])
            answers = slow.read(), upload.read(), stream.read()
            goodbye = None if talk is None else last_word(talk)
        exit_code = instance.wait_for_exit()
        yield Departure(instance, readiness, liveness, newcomer, *answers, echo, goodbye, exit_code, instance.reports())


def talking(port: int) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/ws", proxy=None)


def answer_to(message: str, talk: ClientConnection) -> str | None:
    """Return what comes back, if the conversation still goes on."""
    try:
        talk.send(message)
        return str(talk.recv(timeout=5))
    except (ConnectionClosed, TimeoutError):
        return None


def last_word(talk: ClientConnection) -> int | None:
    """Return the code that the other side closes the conversation with, or None if it just ends."""
    try:
        talk.recv(timeout=20)
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code
    return None


def red(answer: Response) -> Response | None:
    return answer if answer.status == 503 else None


def test_readiness_is_red_while_the_instance_still_serves(departure: Departure) -> None:
    assert departure.readiness.status == 503
    assert b'"reasons":["settling"]' in departure.readiness.body


def test_liveness_stays_green_while_leaving(departure: Departure) -> None:
    assert departure.liveness.status == 200


def test_a_new_connection_is_served_and_told_to_close(departure: Departure) -> None:
    assert departure.newcomer.status == 200
    assert departure.newcomer.closes


def test_a_request_slow_across_the_stop_is_finished(departure: Departure) -> None:
    assert (departure.slow.status, departure.slow.body) == (200, b"held")


def test_an_upload_in_progress_is_taken_whole(departure: Departure) -> None:
    assert departure.upload.body.decode() == f"{len(UPLOAD)} {hashlib.sha256(UPLOAD).hexdigest()}"


def test_a_stream_in_progress_is_sent_whole(departure: Departure) -> None:
    assert departure.stream.body == PART * PARTS


def test_a_websocket_talks_on_while_settling_and_is_closed_with_1012(departure: Departure) -> None:
    """Its client may then connect somewhere else."""
    speaks = departure.instance.server.interface == "asgi"
    assert (departure.echo, departure.goodbye) == (("still there?", 1012) if speaks else (None, None))


def test_the_exit_code_is_0(departure: Departure) -> None:
    assert departure.exit_code == 0


def test_no_process_is_left_behind(departure: Departure) -> None:
    departure.instance.others_end()


def test_the_hooks_run_once_in_every_process(departure: Departure) -> None:
    instance = departure.instance
    for hook in ("on-drain", "on-stop"):
        assert sorted(instance.marks(hook)) == sorted(instance.workers()), hook


def test_the_applications_own_shutdown_runs(departure: Departure) -> None:
    instance = departure.instance
    started = instance.marks("lifespan-startup")
    assert len(started) == (instance.server.processes if instance.server.interface == "asgi" else 0)
    assert sorted(instance.marks("lifespan-shutdown")) == sorted(started)


def test_the_drain_hooks_come_first_and_the_applications_shutdown_last(departure: Departure) -> None:
    lines = (departure.instance.folder / "marks").read_text().splitlines()
    for pid in departure.instance.workers():
        order = [line.split()[0] for line in lines if line.endswith(f" {pid}")]
        ends = [name for name in order if name in ("on-drain", "on-stop", "lifespan-shutdown")]
        assert ends in (["on-drain", "on-stop"], ["on-drain", "on-stop", "lifespan-shutdown"])


def test_every_instance_reports_once_and_cleanly(departure: Departure) -> None:
    assert len(departure.reports) == departure.instance.server.reports
    for report in departure.reports:
        assert report["kind"] == "shutdown"
        assert report["clean"] is True
        assert (report["forced"], report["cut"], report["workers_lost"]) == (None, [], 0)
        assert report["cause"] == "SIGTERM"
        assert report["late_arrivals"]["count"] == 0


def test_the_report_tells_the_phases_in_order(departure: Departure) -> None:
    for report in departure.reports:
        names = [passage["phase"] for passage in report["phases"]]
        assert names == ["starting", "warming", "ready", "settling", "draining", "stopping"]
        assert settle_of(report) >= 1.49


def settle_of(report: dict[str, Any]) -> float:
    """Return how long the settle was, from the stop signal to the beginning of the drain."""
    (draining,) = (passage for passage in report["phases"] if passage["phase"] == "draining")
    return float(draining["at"] - report["asked_at"])


def test_the_reports_count_every_request(departure: Departure) -> None:
    counted = sum(passage["requests"] for report in departure.reports for passage in report["phases"])
    talks = departure.instance.server.interface == "asgi"
    assert counted == 4 + talks  # slow, upload, stream, newcomer, and the conversation; probes are not counted


def test_nothing_goes_wrong_inside(departure: Departure) -> None:
    assert [note for note in departure.instance.journal() if note.level in ("ERROR", "CRITICAL") or note.raised] == []
    assert "Traceback" not in departure.instance.output


def test_no_page_is_left_on_the_disk(departure: Departure) -> None:
    assert list(departure.instance.folder.glob("*.board")) == []


@pytest.mark.parametrize(
    "name",
    [
        *("gunicorn-sync", "gunicorn-asgi", "gunicorn-uvicorn", "gunicorn-gthread-alone"),
        *("uvicorn", "uvicorn-workers", "granian-2", "hypercorn-2"),
    ],
)
def test_a_second_sigterm_shortens_nothing(name: str, tmp_path: Path) -> None:
    """Twice within a millisecond, as some platforms have it, and then to the whole group, as `docker stop` may."""
    with Instance(SERVERS[name], tmp_path) as instance:
        instance.wait_until_ready()
        instance.signal(signal.SIGTERM, signal.SIGTERM)
        eventually(lambda: get(instance.port, "/readyz").status == 503, within=0.9)
        instance.signal_group(signal.SIGTERM)
        assert get(instance.port, "/").status == 200
        assert instance.wait_for_exit() == 0
        assert len(instance.reports()) == instance.server.reports
        for report in instance.reports():
            assert report["clean"]
            assert settle_of(report) >= 0.99


LONG = {"ZDLIFE_SETTLE": "60", "ZDLIFE_SETTLE_MAX": "60", "ZDLIFE_GRACE": "100"}


def settle_then_interrupt(instance: Instance, slow: Call, *, group: bool) -> None:
    """Stop the instance while it serves a slow request, and interrupt the settle of a minute that follows."""
    slow.send("GET", "/hold?gate=slow")
    instance.wait_until_at("slow")
    instance.signal(signal.SIGTERM)
    eventually(
        lambda: len(instance.phases("settling")) == instance.server.reports, why="every process that settles does"
    )
    if group:
        instance.signal_group(signal.SIGINT)
    else:
        instance.signal(signal.SIGINT)


@pytest.mark.parametrize(
    "name", ["gunicorn-sync", "gunicorn-uvicorn", "uvicorn", "uvicorn-workers", "granian", "hypercorn-2"]
)
def test_sigint_from_the_terminal_cuts_the_settle_short(name: str, tmp_path: Path) -> None:
    """A terminal sends it to every process. What is in flight is still finished."""
    with Instance(SERVERS[name], tmp_path, environment=LONG) as instance:
        with started(instance) as slow:
            settle_then_interrupt(instance, slow, group=True)
            instance.open_gate("slow")
            assert slow.read().body == b"held"
        assert instance.wait_for_exit(within=20) == 0
        assert [report["clean"] for report in instance.reports()] == [True] * instance.server.reports


@pytest.mark.parametrize("name", ["gunicorn-gthread", "gunicorn-asgi", "hypercorn"])
def test_sigint_to_the_first_process_cuts_the_settle_short(name: str, tmp_path: Path) -> None:
    """Where the first process is the one that settles. What is in flight is still finished."""
    with Instance(SERVERS[name], tmp_path, environment=LONG) as instance:
        with started(instance) as slow:
            settle_then_interrupt(instance, slow, group=False)
            instance.open_gate("slow")
            assert slow.read().body == b"held"
        assert instance.wait_for_exit(within=20) == 0
        assert [report["clean"] for report in instance.reports()] == [True] * instance.server.reports


@pytest.mark.parametrize(
    "name", ["gunicorn-sync-alone", "gunicorn-gthread-alone", "gunicorn-asgi-alone", "gunicorn-uvicorn-alone"]
)
def test_without_the_hooks_sigint_is_gunicorns_quick_stop_and_what_it_cuts_is_reported(
    name: str, tmp_path: Path
) -> None:
    """gunicorn then sends SIGQUIT to its workers. A request that dies of it makes the report unclean and is named."""
    with Instance(SERVERS[name].with_workers(2), tmp_path, environment=LONG) as instance:
        with started(instance) as slow:
            settle_then_interrupt(instance, slow, group=False)
            assert instance.wait_for_exit(within=20) == 0
            assert not_answered(slow)
        cut = [piece["route"] for report in instance.reports() for piece in report["cut"]]
        assert cut == ["/hold"]
        assert [report["clean"] for report in instance.reports()].count(False) == 1


@pytest.mark.parametrize("name", HOOKED)
def test_sigquit_drops_what_is_in_flight_and_the_masters_report_names_it(name: str, tmp_path: Path) -> None:
    """It means at once: nothing settles and nothing is finished. Exit code 0, as gunicorn has it."""
    with Instance(SERVERS[name].with_workers(2), tmp_path, environment=LONG) as instance:
        with started(instance) as slow:
            slow.send("GET", "/hold?gate=never", headers={"X-Request-Id": "r-4711"})
            instance.wait_until_at("never")
            instance.signal(signal.SIGQUIT)
            assert instance.wait_for_exit(within=10) == 0
            assert not_answered(slow)
        instance.others_end()
        report = instance.report
        assert report["clean"] is False
        assert [(piece["id"], piece["method"], piece["route"]) for piece in report["cut"]] == [
            ("r-4711", "GET", "/hold")
        ]


def not_answered(call: Call) -> bool:
    """Whether what comes is no good answer: an error of the server's, half an answer, or none."""
    try:
        return call.read().status >= 500
    except (OSError, HTTPException):
        return True


@contextmanager
def started(instance: Instance) -> Iterator[Call]:
    """Yield a connection to the instance once it is ready."""
    instance.wait_until_ready()
    with Call(instance.port) as call:
        yield call
