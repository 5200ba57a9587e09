"""The file of examples/ready, which the documentation shows, does what it says under both interfaces."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support import require_module
from support.arriving import Arriving, free_port
from support.clients import get
from support.servers import SERVERS, Instance

READY = Path(__file__).resolve().parents[2] / "examples" / "ready"
ARRIVED = ["done", "done", "done"]


class Dependency:
    """Something that accepts connections on a port of its own, until it is stopped."""

    def __init__(self) -> None:
        self.port = free_port()
        self._listener: socket.socket | None = None

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


@contextmanager
def dependency() -> Iterator[Dependency]:
    found = Dependency()
    found.start()
    try:
        yield found
    finally:
        found.stop()


@contextmanager
def ready(name: str, folder: Path, search: Dependency, orders: Dependency) -> Iterator[Arriving]:
    """Run the example under a server, with a management port."""
    for module in ("h11", "jinja2"):
        require_module(module)
    server, port, management = SERVERS[name], free_port(), free_port()
    variables = {
        "PYTHONPATH": str(READY),
        "TMPDIR": str(folder),
        "SEARCH_PORT": str(search.port),
        "ORDERS_PORT": str(orders.port),
        "ZDLIFE_MANAGEMENT_PORT": str(management),
    }
    command = server.command(port, application=f"ready:{server.interface}")
    with Instance(server, folder, environment=variables, command=command, port=port) as instance:
        yield Arriving(instance, management)


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn-sync"])
def test_it_is_ready_with_its_prices_and_says_what_it_waited_for(name: str, tmp_path: Path) -> None:
    with dependency() as search, dependency() as orders, ready(name, tmp_path, search, orders) as found:
        found.wait_until_ready()

        assert get(found.port, "/7").body == b"7.95\n"
        assert found.wait_for_reasons()["status"] == "pass"
        arrivals = found.instance.arrivals()
        assert len(arrivals) == found.instance.server.processes
        assert {len(arrival["checks"]) for arrival in arrivals} == {3}
        assert [warmer["status"] for warmer in arrivals[0]["warmers"]] == ARRIVED
        (fetched,) = [warmer for warmer in found.status()["warmers"] if warmer["per"] == "instance"]
        assert sum(worker["attempts"] for worker in fetched["workers"]) == 1


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn-sync"])
def test_without_its_own_dependency_it_is_out_and_without_the_shared_one_it_stays_in(name: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        search, orders = stack.enter_context(dependency()), stack.enter_context(dependency())
        found = stack.enter_context(ready(name, tmp_path, search, orders))
        found.wait_until_ready()

        orders.stop()
        assert found.wait_for_reasons("check:orders-db")["status"] == "warn"
        assert found.is_ready()

        search.stop()
        found.instance.wait_until(lambda: not found.is_ready(), why="it is out")
        assert found.wait_for_reasons("check:search")["status"] == "fail"
        assert get(found.port, "/7").status == 200

        search.start()
        orders.start()
        found.wait_until_ready()
        assert found.wait_for_reasons()["status"] == "pass"


def test_what_piles_up_in_its_spool_is_a_caution(tmp_path: Path) -> None:
    spool = tmp_path / "ready-spool"
    spool.mkdir()
    for number in range(101):
        (spool / f"{number}.order").touch()
    with dependency() as search, dependency() as orders, ready("uvicorn", tmp_path, search, orders) as found:
        found.wait_until_ready()

        answer = found.wait_for_reasons("check:spool")
        assert answer["status"] == "warn"
        (said,) = answer["checks"]["spool"]
        assert said["output"] == "101 orders wait in the spool"


def test_before_it_has_its_dependency_it_is_not_ready_and_has_started(tmp_path: Path) -> None:
    with dependency() as search, dependency() as orders, ready("uvicorn", tmp_path, search, orders) as found:
        search.stop()
        found.wait_for_reasons("warming", "check:search")

        assert found.probe("/startupz").status == 200
        assert json.loads(found.probe("/livez").body)["status"] == "pass"
        search.start()
        found.wait_until_ready()
