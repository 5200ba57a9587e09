"""What an instance answers when a platform asks how it is, in each phase."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from unit.fakes import RELEASE, FakeServer, bring_to, life_of, reach
from zdlife import Lifecycle, Phase
from zdlife.machine.phases import Event
from zdlife.probes.answers import PROBES, Answer, answer, probe_path
from zdlife.process.board import Board

PHASES = [Phase.STARTING, Phase.READY, Phase.SETTLING, Phase.DRAINING]


def told(found: Answer) -> dict[str, Any]:
    return dict(json.loads(found.body))


def in_phase(phase: Phase) -> Lifecycle:
    life = life_of()
    bring_to(phase, life)
    return life


@pytest.mark.parametrize(
    ("path", "phase", "status", "reasons"),
    [
        ("/livez", Phase.STARTING, 200, []),
        ("/livez", Phase.READY, 200, []),
        ("/livez", Phase.SETTLING, 200, []),
        ("/livez", Phase.DRAINING, 200, []),
        ("/readyz", Phase.STARTING, 503, ["starting"]),
        ("/readyz", Phase.READY, 200, []),
        ("/readyz", Phase.SETTLING, 503, ["settling"]),
        ("/readyz", Phase.DRAINING, 503, ["draining"]),
        ("/startupz", Phase.STARTING, 503, ["starting"]),
        ("/startupz", Phase.READY, 200, []),
        ("/startupz", Phase.SETTLING, 200, []),
        ("/startupz", Phase.DRAINING, 200, []),
    ],
)
def test_each_probe_answers_by_phase(path: str, phase: Phase, status: int, reasons: list[str]) -> None:
    found = answer(in_phase(phase), path, "GET")

    document = told(found)
    since = document.pop("since")

    assert found.status == status
    assert [*since] == reasons
    assert document == {
        "status": "pass" if status == 200 else "fail",
        "phase": phase.value,
        "reasons": reasons,
        "release": RELEASE.as_dict(),
    }


def test_a_lifecycle_that_nobody_runs_is_starting() -> None:
    assert answer(life_of(), "/readyz", "GET").status == 503


def test_readiness_is_red_before_the_signal_handler_returns() -> None:
    life = life_of()
    server = bring_to(Phase.READY, life)
    server.signal(signal.SIGTERM)

    found = answer(life, "/readyz", "GET")

    assert (found.status, told(found)["reasons"]) == (503, ["settling"])


def test_readiness_is_red_in_every_worker_of_an_instance_that_was_asked_to_leave() -> None:
    board, life = Board.anonymous(), life_of()
    life.begin(FakeServer(conducted=True, alone=False), board=board, seat=board.claim(101))
    life.loaded()
    reach(Phase.READY, life)
    board.ask(1.0)

    found = answer(life, "/readyz", "GET")

    assert (found.status, told(found)["reasons"]) == (503, ["settling"])


def test_a_recycled_worker_answers_for_its_instance_which_is_ready() -> None:
    life, server = life_of(), FakeServer(alone=False)
    server.means_of = lambda event: (Event.RELEASED,) if event is Event.TERM else (event,)
    server.queue = 1
    bring_to(Phase.READY, life, server)
    server.signal(signal.SIGTERM)
    reach(Phase.DRAINING, life)

    found = answer(life, "/readyz", "GET")

    assert (found.status, told(found)["phase"]) == (200, "ready")


def test_the_version_says_which_release_answers() -> None:
    found = answer(in_phase(Phase.SETTLING), "/version", "GET")

    assert found.status == 200
    assert told(found) == {**RELEASE.as_dict(), "environment": "test"}


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("phase", PHASES)
def test_no_answer_is_kept_by_a_cache_and_each_states_its_length(path: str, phase: Phase) -> None:
    found = answer(in_phase(phase), path, "GET")
    headers = dict(found.headers)

    assert headers["cache-control"] == "no-store"
    assert headers["content-length"] == str(len(found.body))
    assert headers["content-type"] in ("application/health+json", "application/json")
    assert ("retry-after" in headers) == (found.status == 503)


@pytest.mark.parametrize("path", PROBES)
def test_head_is_answered_as_get_without_a_body(path: str) -> None:
    life = in_phase(Phase.READY)
    head, get = answer(life, path, "HEAD"), answer(life, path, "GET")

    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", PROBES)
def test_other_methods_are_not_allowed(path: str, method: str) -> None:
    found = answer(in_phase(Phase.READY), path, method)

    assert found.status == 405
    assert dict(found.headers)["allow"] == "GET, HEAD"


@pytest.mark.parametrize(("status", "line"), [(200, "200 OK"), (503, "503 Service Unavailable")])
def test_the_status_is_told_as_wsgi_has_it(status: int, line: str) -> None:
    assert Answer(status, (), b"").status_line == line


@pytest.mark.parametrize(
    ("path", "root", "probe"),
    [
        pytest.param("/livez", "", "/livez", id="plain"),
        pytest.param("/api/livez", "/api", "/livez", id="below-the-root"),
        pytest.param("/livez", "/api", "/livez", id="beside-the-root"),
        pytest.param("/api/livez", "", None, id="the-applications-own"),
        pytest.param("/livez/", "", None, id="slash"),
        pytest.param("/", "", None, id="other"),
        pytest.param("/apilivez", "/api", None, id="no-slash-after-the-root"),
    ],
)
def test_a_probe_is_found_by_its_path(path: str, root: str, probe: str | None) -> None:
    assert probe_path(path, root) == probe
