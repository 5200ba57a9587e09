"""Ready means able to serve: what real instances answer while they start, warm up, and lose what they depend on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support import eventually
from support.arriving import Arriving, arriving
from support.clients import Call, Load, get

SEVERAL = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-asgi", "gunicorn-uvicorn", "uvicorn-workers")
SINGLE = ("uvicorn", "granian", "hypercorn")


@pytest.mark.parametrize("name", [*SEVERAL, *SINGLE, "granian-2", "hypercorn-2"])
def test_an_instance_is_ready_once_every_worker_is_warm(name: str, tmp_path: Path) -> None:
    with arriving(name, tmp_path, environment={"TEST_WARM": "1"}) as found:
        processes = found.instance.server.processes
        found.wait_until_ready()
        warm = len(found.instance.marks("warm"))
        arrivals = found.instance.arrivals()

        assert warm == processes
        assert {arrival["pid"] for arrival in arrivals} == set(found.instance.marks("warm"))
        assert all(warmer["status"] == "done" for arrival in arrivals for warmer in arrival["warmers"])
        assert get(found.port, "/readyz").status == 200
        assert found.status()["workers"]["ready"] == processes


@pytest.mark.parametrize("name", SEVERAL)
def test_a_worker_that_comes_in_place_of_a_killed_one_accepts_nothing_before_it_is_warm(
    name: str, tmp_path: Path
) -> None:
    with arriving(name, tmp_path, environment={"TEST_WARM": "1.5"}) as found:
        found.wait_until_ready()
        victim = found.instance.marks("warm")[0]
        with Load(found.port, fresh=6, kept=0, pause=0.01):
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: len(found.instance.marks("warm")) > found.instance.server.processes, within=60)
            successor = found.instance.marks("warm")[-1]
            eventually(lambda: found.instance.marks("warm-request").count(successor) > 5, within=60)
        assert found.instance.marks("cold-request") == []
        found.wait_for_reasons()
        assert found.status()["workers"]["ready"] == found.instance.server.processes


def test_while_a_worker_is_replaced_the_instance_says_so_and_stays_in(tmp_path: Path) -> None:
    with arriving("gunicorn-sync", tmp_path, workers=3, environment={"TEST_WARM": "2"}) as found:
        found.wait_until_ready()
        victim = found.instance.marks("warm")[0]
        os.kill(victim, signal.SIGKILL)

        answer = found.wait_for_reasons("warming", "warmer:prices", "workers")

        assert answer["status"] == "warn"
        assert found.is_ready()
        found.wait_for_reasons()


def test_an_instance_that_has_no_worker_left_is_not_ready(tmp_path: Path) -> None:
    with arriving("gunicorn-sync", tmp_path, workers=1, environment={"TEST_WARM": "1"}) as found:
        found.wait_until_ready()
        os.kill(found.instance.marks("warm")[0], signal.SIGKILL)

        assert found.wait_for_reasons("warming", "warmer:prices")["status"] == "fail"
        assert get(found.port, "/").status == 200  # It waits in the queue for the one that comes.
        assert found.instance.marks("cold-request") == []


def test_a_reload_keeps_the_old_workers_until_the_new_ones_are_warm(tmp_path: Path) -> None:
    with arriving("gunicorn-sync", tmp_path, workers=2, environment={"TEST_WARM": "1.5"}) as found:
        found.wait_until_ready()
        old = set(found.instance.marks("warm"))
        with Load(found.port, fresh=2, kept=0) as load, Load(found.port, path="/readyz", fresh=1, kept=0) as probes:
            found.instance.signal(signal.SIGHUP)
            eventually(lambda: len(found.instance.marks("warm")) == 4, within=30)
            found.instance.wait_until(lambda: old.isdisjoint(_pids(found)), why="the old workers are gone")
            found.wait_for_reasons()
        assert (load.failures, probes.failures) == ({}, {})
        assert found.instance.marks("cold-request") == []


def _pids(found: Arriving) -> set[int]:
    return {worker["pid"] for worker in found.status()["workers"]["each"]}


def test_enough_workers_are_as_many_as_the_settings_say(tmp_path: Path) -> None:
    environment = {"TEST_WARM": "1", "ZDLIFE_READY_WORKERS": "1"}
    with arriving("gunicorn-sync", tmp_path, workers=2, environment=environment) as found:
        found.wait_until_ready()

        assert found.status()["workers"]["needed"] == 1


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-asgi", "uvicorn", "granian"])
def test_sigterm_while_warming_stops_it_at_once(name: str, tmp_path: Path) -> None:
    with arriving(name, tmp_path, environment={"TEST_WARM": "25"}) as found:
        found.instance.wait_until(lambda: found.instance.marks("warming"), why="it warms")
        found.instance.signal(signal.SIGTERM)

        assert found.instance.wait_for_exit(within=15) == 0
        assert found.instance.marks("warm") == []
        assert found.instance.left_in < 10  # Of 25 that the warmer would have taken.


@pytest.mark.parametrize("name", ["gunicorn-sync", "uvicorn"])
@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("down", "ConnectionRefusedError: the dependency refuses"),
        ("hang", "no answer within 0.5 s"),
        ("slow", "no answer within 0.5 s"),
        ("garbage", "it returned bytes"),
        ("exit", "SystemExit: 3"),
        ("recurse", "RecursionError"),
    ],
)
def test_a_required_dependency_that_misbehaves_takes_the_instance_out_and_in_again(
    name: str, does: str, why: str, tmp_path: Path
) -> None:
    with arriving(name, tmp_path) as found:
        found.wait_until_ready()
        found.dependency(does)
        eventually(lambda: "check:dependency" in found.health()["reasons"], within=30)
        assert found.probe().status == 503
        assert found.probe("/livez").status == 200

        def said() -> bool:  # By each worker in its turn.
            (check,) = [check for check in found.status()["checks"] if check["name"] == "dependency"]
            told = [each["why"] for each in check["workers"]]
            return all(each.startswith(why) or "have not returned" in each for each in told)

        eventually(said, within=30)

        found.dependency("up")
        found.wait_until_ready()


def test_a_check_that_keeps_the_interpreter_delays_a_probe_and_loses_none(tmp_path: Path) -> None:
    with arriving("uvicorn", tmp_path, environment={"TEST_KIND": "degrades", "TEST_INTERVAL": "2"}) as found:
        found.wait_until_ready()
        found.dependency("block")
        before = len(found.instance.marks("call"))
        answers = []
        while len(found.instance.marks("call")) < before + 3:
            answers.append(found.probe().status)

        assert set(answers) == {200}


def test_a_check_that_leaks_threads_is_given_up_and_takes_nothing_out(tmp_path: Path) -> None:
    with arriving("uvicorn", tmp_path, environment={"TEST_INTERVAL": "0.2"}) as found:
        found.wait_until_ready()
        found.dependency("leak")

        answer = found.wait_for_reasons("check:dependency")

        assert answer["status"] == "warn"
        (given_up,) = found.instance.journal("check dependency is given up")
        assert given_up.level == "ERROR"
        calls = len(found.instance.marks("call"))
        found.dependency("down")
        assert found.is_ready()
        assert len(found.instance.marks("call")) == calls


@pytest.mark.parametrize("name", ["gunicorn-gthread", "uvicorn"])
@pytest.mark.parametrize("does", ["async-exit", "async-hang", "async-down"])
def test_an_async_check_that_misbehaves_degrades_and_ends_no_loop(name: str, does: str, tmp_path: Path) -> None:
    with arriving(name, tmp_path) as found:
        found.wait_until_ready()
        found.dependency(does)
        assert found.wait_for_reasons("check:by-the-way")["status"] == "warn"
        assert get(found.port, "/").status == 200

        found.dependency("up")
        found.wait_for_reasons()


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn-sync"])
def test_a_probe_calls_no_dependency(name: str, tmp_path: Path) -> None:
    with arriving(name, tmp_path, environment={"TEST_INTERVAL": "3600", "TEST_KIND": "required"}) as found:
        found.wait_until_ready()
        calls = len(found.instance.marks("call"))
        for path in ("/readyz", "/livez", "/startupz") * 40:
            assert get(found.port, path).status == 200
            assert found.probe(path).status == 200

        assert len(found.instance.marks("call")) == calls


@pytest.mark.parametrize("name", ["gunicorn-sync", "uvicorn"])
def test_the_management_port_answers_while_every_worker_is_blocked(name: str, tmp_path: Path) -> None:
    with arriving(name, tmp_path) as found:
        found.wait_until_ready()
        blocked = found.instance.server.processes
        calls = [Call(found.port).send("GET", "/block?gate=all") for _ in range(blocked)]
        found.instance.wait_until_at("all", times=blocked)
        answers = [found.probe("/livez").status for _ in range(1000)]
        found.instance.open_gate("all")

        assert answers == [200] * 1000
        for call in calls:
            assert call.read().status == 200
            call.close()


def test_a_loop_that_is_stuck_makes_liveness_red_and_one_that_leaves_does_not(tmp_path: Path) -> None:
    with arriving("uvicorn", tmp_path, environment={"ZDLIFE_STUCK_AFTER": "1"}) as found:
        found.wait_until_ready()
        with Call(found.port) as call:
            call.send("GET", "/block?gate=stuck")
            eventually(lambda: found.probe("/livez").status == 503, within=10)
            assert found.health("/livez")["reasons"] == ["loop"]
            found.instance.signal(signal.SIGTERM)
            eventually(lambda: found.probe("/livez").status == 200, within=10)
            found.instance.open_gate("stuck")
            assert call.read().status == 200
        assert found.instance.wait_for_exit() == 0


def test_an_application_without_a_lifespan_begins_with_its_first_request(tmp_path: Path) -> None:
    with arriving("uvicorn", tmp_path, application="cold", environment={"TEST_WARM": "0.5"}) as found:
        eventually(lambda: _status_of(found.port, "/readyz") in (200, 503), within=20)
        found.wait_until_ready()

        assert found.instance.marks("warm")


def _status_of(port: int, path: str) -> int | None:
    try:
        return get(port, path).status
    except OSError:
        return None


def test_two_instances_do_not_share_a_management_port(tmp_path: Path) -> None:
    with arriving("gunicorn-sync", tmp_path / "one") as first:
        first.wait_until_ready()
        taken = {"ZDLIFE_MANAGEMENT_PORT": str(first.management)}
        with arriving("uvicorn", tmp_path / "two", environment=taken) as second:
            second.instance.wait_until(lambda: _status_of(second.port, "/readyz") == 200, why="it serves all the same")
            (said,) = second.instance.journal("the management port")

            assert "ZDLIFE_MANAGEMENT_PORT" in said.said
            pids = {first.status()["pid"] for _ in range(50)}
            assert pids <= set(first.instance.workers())


@pytest.mark.parametrize(
    "name", ["gunicorn-sync", "gunicorn-asgi", "uvicorn", "uvicorn-workers", "granian", "hypercorn"]
)
def test_the_management_port_answers_until_the_end(name: str, tmp_path: Path) -> None:
    with arriving(name, tmp_path, environment={"ZDLIFE_SETTLE": "0.5", "ZDLIFE_SETTLE_QUIET": "0"}) as found:
        found.wait_until_ready()
        with Call(found.port) as call:
            call.send("GET", "/block?gate=slow")
            found.instance.wait_until_at("slow")
            found.instance.signal(signal.SIGTERM)
            found.wait_for_reasons("settling")
            found.wait_for_reasons("draining")
            assert found.probe("/livez").status == 200
            held = found.status()["in_flight"]["each"]
            assert [piece["route"] for piece in held] == ["/block"]
            found.instance.open_gate("slow")
            assert call.read().status == 200
        assert found.instance.wait_for_exit() in (0, -15)


def test_a_reload_to_a_release_that_does_not_start_ends_gunicorn_as_soon_as_without_zdlife(tmp_path: Path) -> None:
    """gunicorn gives up, and its old worker is told to stop with all the others."""
    with arriving("gunicorn-sync", tmp_path, workers=1) as found:
        found.wait_until_ready()
        (found.instance.folder / "broken").touch()
        found.instance.signal(signal.SIGHUP)

        assert found.instance.wait_for_exit(within=15) == 3
        assert found.instance.left_in < 10  # Of 19 that gunicorn gives a worker which nobody tells.
