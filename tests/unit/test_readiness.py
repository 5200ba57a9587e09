"""What a service declares on its lifecycle, and what the probes say of it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from support import eventually
from unit.fakes import FakeServer, life_of, reach, records
from zdlife import Lifecycle, Phase, Warm
from zdlife.errors import WrongUse
from zdlife.machine.checks import Caution
from zdlife.machine.phases import Event
from zdlife.probes.access import Access
from zdlife.probes.answers import Answer, answer
from zdlife.process.board import Board


def told(found: Answer) -> dict[str, Any]:
    return dict(json.loads(found.body))


def ready_of(life: Lifecycle) -> Lifecycle:
    life.begin(FakeServer())
    life.loaded()
    reach(Phase.READY, life)
    return life


def test_an_instance_is_ready_once_its_required_checks_have_passed() -> None:
    life, up = life_of(), threading.Event()
    life.check("db")(up.is_set)
    life.begin(FakeServer())
    life.loaded()
    eventually(lambda: told(answer(life, "/readyz", "GET"))["reasons"] == ["warming", "check:db"])

    up.set()
    reach(Phase.READY, life)

    assert answer(life, "/readyz", "GET").status == 200


def test_nothing_is_checked_before_the_application_is_loaded() -> None:
    life, called = life_of(), threading.Event()
    life.check("db")(called.set)
    life.begin(FakeServer())

    assert not called.wait(0.6)
    life.loaded()
    assert called.wait(5)


def test_nothing_is_checked_any_more_once_it_leaves() -> None:
    life, calls = life_of(), []
    life.check("db", interval=0.01, timeout=0.01)(lambda: calls.append(1))
    ready_of(life)
    life.post(Event.TERM)
    reach(Phase.SETTLING, life)
    counted = len(calls)

    assert not eventually_more(calls, counted + 1)


def eventually_more(calls: list[int], most: int) -> bool:
    try:
        return bool(eventually(lambda: len(calls) > most, within=0.3))
    except AssertionError:
        return False


def test_an_async_check_runs_in_the_applications_loop() -> None:
    life, loops = life_of(), []

    @life.check("db")
    async def db() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> bool:
        loop = asyncio.get_running_loop()
        life.begin(FakeServer(), loop=loop)
        life.loaded()
        while life.phase is not Phase.READY:
            await asyncio.sleep(0.01)
        return loops[0] is loop

    assert asyncio.run(asyncio.wait_for(main(), 10))


def test_a_caution_is_a_warning_and_serves() -> None:
    life = life_of()
    life.check("cache")(lambda: Caution("it may evict sessions"))
    ready_of(life)

    found = answer(life, "/readyz", "GET", access=Access.EVERYTHING)

    assert (found.status, told(found)["status"], told(found)["reasons"]) == (200, "warn", ["check:cache"])
    assert told(found)["checks"]["cache"][0]["output"] == "it may evict sessions"


@pytest.mark.parametrize(
    ("access", "keys"),
    [
        (Access.ANSWER, None),
        (Access.STATES, {"componentId", "kind", "status", "stale", "since", "time", "observedValue", "observedUnit"}),
    ],
)
def test_a_caller_is_told_no_more_than_it_may_be(access: Access, keys: set[str] | None) -> None:
    life = life_of()
    life.check("db", kind="degrades")(lambda: False)
    ready_of(life)
    eventually(lambda: told(answer(life, "/readyz", "GET"))["reasons"] == ["check:db"])

    document = told(answer(life, "/readyz", "GET", access=access))

    if keys is None:
        assert "checks" not in document
        assert "returned" not in json.dumps(document)
    else:
        (component,) = document["checks"]["db"]
        assert set(component) == keys


def test_startup_is_over_when_it_is_warm_whatever_a_dependency_says() -> None:
    life, go_on = life_of(), threading.Event()
    life.check("db")(lambda: False)
    life.warm("prices")(lambda: go_on.wait(30))
    life.begin(FakeServer())
    assert told(answer(life, "/startupz", "GET"))["reasons"] == ["starting", "warmer:prices"]
    life.loaded()
    eventually(lambda: told(answer(life, "/startupz", "GET"))["reasons"] == ["warming", "warmer:prices"])

    go_on.set()
    eventually(lambda: answer(life, "/startupz", "GET").status == 200)

    assert answer(life, "/readyz", "GET").status == 503


def test_a_probe_that_fails_in_itself_is_answered_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    life = ready_of(life_of())

    def broken(_: float) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(life.presence, "standing", broken)
    found = answer(life, "/readyz", "GET")

    assert (found.status, told(found)) == (500, {"status": "fail", "reasons": ["zdlife"]})
    assert found.status_line == "500 Internal Server Error"
    assert any("cannot be answered" in record.getMessage() for record in caplog.records)


def test_a_warmer_says_how_far_it_is() -> None:
    life, said, go_on = life_of(), threading.Event(), threading.Event()

    @life.warm("prices")
    def prices(warm: Warm) -> None:
        warm.advance(3, 10)
        said.set()
        go_on.wait(30)

    life.begin(FakeServer())
    life.loaded()
    assert said.wait(5)

    (component,) = told(answer(life, "/readyz", "GET", access=Access.STATES))["warmers"]["warmer:prices"]

    assert (component["status"], component["done"], component["total"]) == ("running", 3, 10)
    go_on.set()
    reach(Phase.READY, life)


def test_a_cache_that_is_warm_enough_lets_it_be_ready() -> None:
    life, rates = life_of(), iter([0.1, 0.9])
    life.cache_warmth("prices", sample=lambda: next(rates), minimum=0.8, every=0.01)
    ready_of(life)

    assert next(rates, None) is None


def test_a_cache_that_stays_cold_holds_it_up_no_longer_than_its_deadline() -> None:
    life = life_of()
    life.cache_warmth("prices", sample=lambda: 0.0, minimum=0.8, deadline=0.2, every=0.05)
    ready_of(life)

    assert told(answer(life, "/readyz", "GET"))["reasons"] == ["warmth:prices"]


def test_decorated_functions_are_still_callable() -> None:
    life = life_of()

    @life.warm("prices")
    @life.check("db")
    def both() -> str:
        return "called"

    assert both() == "called"


@pytest.mark.parametrize("register", ["check", "warm"])
def test_one_name_twice_is_refused(register: str) -> None:
    life = life_of()
    getattr(life, register)("db")(lambda: None)
    with pytest.raises(WrongUse, match="two"):
        getattr(life, register)("db")(lambda: None)


def test_the_arrival_is_recorded_once(tmp_path: Path) -> None:
    life = life_of(report=tmp_path / "report")
    life.check("db")(lambda: None)
    life.warm("prices")(lambda: None)
    ready_of(life)

    (arrival,) = eventually(lambda: records(tmp_path / "report", "arrival"))

    assert [each["name"] for each in arrival["warmers"]] == ["prices"]
    assert [(each["name"], each["status"]) for each in arrival["checks"]] == [("db", "pass")]
    assert arrival["at"] > 0 <= arrival["seconds"]


def test_an_arrival_that_cannot_be_recorded_is_logged_and_it_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    life = ready_of(life_of(report=tmp_path / "missing" / "report"))

    eventually(lambda: any("arrival record cannot be written" in record.getMessage() for record in caplog.records))
    assert life.ready


@pytest.mark.parametrize(("wanted", "there", "warned"), [(3, 2, True), (2, 2, False), (3, 0, False), (None, 2, False)])
def test_more_ready_workers_than_there_are_is_warned_of(
    wanted: int | None, there: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    board = Board.anonymous()
    board.expect(there)
    life = life_of(ready_workers=wanted)
    life.begin(FakeServer(alone=False), board=board, seat=board.claim(os.getpid()))

    assert any("ZDLIFE_READY_WORKERS" in record.getMessage() for record in caplog.records) is warned


def test_one_process_is_all_the_workers_there_are(caplog: pytest.LogCaptureFixture) -> None:
    life = ready_of(life_of(ready_workers=2))

    assert life.ready
    assert any("ZDLIFE_READY_WORKERS" in record.getMessage() for record in caplog.records)


def test_a_loop_that_is_known_later_runs_the_async_checks() -> None:
    life, loops = life_of(), []

    @life.check("db")
    async def db() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> bool:
        life.begin(FakeServer())
        life.join(asyncio.get_running_loop())
        life.loaded()
        while life.phase is not Phase.READY:
            await asyncio.sleep(0.01)
        return loops[0] is asyncio.get_running_loop() and life.presence.pulse is not None

    assert asyncio.run(asyncio.wait_for(main(), 10))
