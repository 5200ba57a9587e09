"""One Redis under three real instances: what its loss means to each, by the kind of the check."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import eventually
from support.arriving import Arriving, arriving
from support.services import RedisServer

INSTANCES = (("one", "gunicorn-sync"), ("two", "uvicorn"), ("three", "granian"))


@dataclass
class Fleet:
    """Three instances of one service, each on another server, and the two Redis servers they use."""

    instances: dict[str, Arriving]
    shared: RedisServer
    own: RedisServer

    def answers(self) -> dict[str, tuple[int, str, str]]:
        """Return what each instance says of its readiness: the code, the status, the reasons."""
        found = {}
        for name, instance in self.instances.items():
            probe, document = instance.probe(), instance.health()
            found[name] = (probe.status, document["status"], ",".join(document["reasons"]))
        return found


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """`shared` is a shared check of all three, `own` a required one of the first alone."""
    with ExitStack() as stack:
        shared = stack.enter_context(RedisServer(tmp_path / "shared"))
        own = stack.enter_context(RedisServer(tmp_path / "own"))
        instances = {}
        for name, server in INSTANCES:
            environment = {"TEST_SHARED_REDIS": shared.url, "TEST_OWN_REDIS": own.url if name == "one" else ""}
            instances[name] = stack.enter_context(arriving(server, tmp_path / name, environment=environment))
        for instance in instances.values():
            instance.wait_until_ready()
        yield Fleet(instances, shared, own)


def test_the_loss_of_a_shared_dependency_leaves_all_three_in_and_degraded(fleet: Fleet) -> None:
    degraded = (200, "warn", "check:shared-redis")
    fleet.shared.stop()

    eventually(lambda: fleet.answers() == dict.fromkeys(fleet.instances, degraded), within=30)
    for instance in fleet.instances.values():
        assert instance.probe("/livez").status == 200
        assert instance.health(port=instance.port)["reasons"] == ["check:shared-redis"]

    fleet.shared.start()
    eventually(lambda: set(fleet.answers().values()) == {(200, "pass", "")}, within=30)


def test_the_loss_of_a_required_one_takes_out_exactly_the_instance_that_lost_it(fleet: Fleet) -> None:
    fleet.own.stop()
    eventually(lambda: fleet.answers()["one"] == (503, "fail", "check:own-redis"), within=30)

    assert {fleet.answers()[name] for name in ("two", "three")} == {(200, "pass", "")}

    fleet.own.start()
    eventually(lambda: set(fleet.answers().values()) == {(200, "pass", "")}, within=30)


def test_a_dependency_that_answers_nobody_any_more_is_as_lost_as_one_that_refuses(fleet: Fleet) -> None:
    fleet.own.pause()
    eventually(lambda: fleet.answers()["one"] == (503, "fail", "check:own-redis"), within=30)
    assert {fleet.answers()[name] for name in ("two", "three")} == {(200, "pass", "")}

    fleet.own.resume()
    eventually(lambda: fleet.answers()["one"] == (200, "pass", ""), within=30)
