"""The one object a process holds, under a server that does what the test says; no socket, no signal, no sleep."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import eventually
from unit.fakes import RELEASE, FakeServer, bring_to, life_of, reach, records
from zdlife import Lifecycle, Phase, Settings
from zdlife.errors import BudgetError
from zdlife.machine.budget import ServerDeadline
from zdlife.machine.phases import Event
from zdlife.process.board import Board
from zdlife.process.layout import NOTE_BYTES
from zdlife.process.seat import Seat

ENVIRON = {"wsgi.version": (1, 0), "REQUEST_METHOD": "GET", "PATH_INFO": "/slow", "HTTP_X_REQUEST_ID": "r-1"}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.jsonl"


def told(report: Path) -> dict[str, Any]:
    """Wait for the report and return it."""
    (found,) = eventually(lambda: records(report), why="the report is written")
    return dict(found)


def seated(pid: int = 0) -> tuple[Board, Seat]:
    board = Board.anonymous()
    seat = board.claim(pid or os.getpid())
    assert seat is not None
    return board, seat


def short(**settings: Any) -> Lifecycle:
    """Return a life that leaves as soon as nothing holds it."""
    return life_of(**({"settle": 0, "settle_max": 0} | settings))


# Until a server runs it.


def test_a_life_that_nobody_runs_has_begun_nothing() -> None:
    threads = set(threading.enumerate())
    handlers = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]
    life = Lifecycle(Settings(), release=RELEASE)

    assert (life.begun, life.phase, life.ready, life.leaving) == (False, Phase.STARTING, False, False)
    assert set(threading.enumerate()) <= threads  # One that an earlier test began may end meanwhile.
    assert [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_its_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZDLIFE_SERVICE", "shop")
    monkeypatch.setenv("ZDLIFE_VERSION", "1.4")

    assert (Lifecycle().release.service, Lifecycle().release.version) == ("shop", "1.4")


def test_a_life_that_never_began_has_nothing_to_finish() -> None:
    assert not life_of().finish()


# Arriving.


def test_it_begins_once() -> None:
    life, first = life_of(), FakeServer()
    life.begin(first)
    life.begin(FakeServer())

    assert life.host is first


def test_it_is_ready_when_loaded_returns() -> None:
    life = life_of()
    life.begin(FakeServer())
    life.loaded()

    assert (life.ready, life.phase) == (True, Phase.READY)


def test_to_be_loaded_twice_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    life = life_of()
    bring_to(Phase.READY, life)
    life.loaded()

    assert (life.ready, caplog.records) == (True, [])


def test_every_process_of_an_instance_speaks_by_one_name() -> None:
    life = Lifecycle(Settings(service="shop"))
    life.begin(FakeServer(), leader_pid=4711)

    assert life.release.instance.endswith("-4711")


def test_a_release_that_was_given_is_kept() -> None:
    life = life_of()
    life.begin(FakeServer(), leader_pid=4711)

    assert life.release == RELEASE


def test_what_another_process_wrote_before_the_fork_is_not_believed() -> None:
    life = life_of()
    life.board.ask(1.0)
    bring_to(Phase.READY, life)

    assert life.ready


def test_times_that_do_not_fit_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    life_of(grace=1).begin(FakeServer())
    (record,) = caplog.records

    assert record.levelname == "WARNING"
    assert "ZDLIFE_GRACE" in record.getMessage()


def test_a_server_that_would_cut_short_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer()
    server.deadline = ServerDeadline("timeout_graceful_shutdown", 3)
    life_of().begin(server)

    assert "Set timeout_graceful_shutdown to" in caplog.records[0].getMessage()


def test_times_that_do_not_fit_refuse_the_start_where_asked_to() -> None:
    life = life_of(grace=1, strict=True)

    with pytest.raises(BudgetError, match="ZDLIFE_GRACE"):
        life.begin(FakeServer())

    assert not life.begun


def test_a_worker_whose_master_settles_leaves_the_times_to_it(caplog: pytest.LogCaptureFixture) -> None:
    board, seat = seated()
    life_of(grace=1, strict=True).begin(FakeServer(conducted=True, alone=False), board=board, seat=seat)

    assert caplog.records == []


# Asked to leave.


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_is_not_ready_when_the_signal_handler_returns(signum: int) -> None:
    life = life_of()
    bring_to(Phase.READY, life).signal(signum)

    assert (life.ready, life.leaving) == (False, True)


def test_it_settles_first_and_leaves_the_server_alone() -> None:
    life = life_of()
    server = bring_to(Phase.SETTLING, life)

    assert server.told == []


def test_the_server_is_told_when_the_queue_is_empty() -> None:
    life = life_of()
    server = bring_to(Phase.DRAINING, life)
    assert server.told == ["leave the listener"]

    server.queue = 0

    eventually(lambda: server.told == ["leave the listener", "stop"])


def test_a_queue_that_never_empties_is_not_waited_for_for_ever() -> None:
    life, server = short(drain=0.2), FakeServer()
    server.queue = 1
    bring_to(Phase.READY, life, server).signal(signal.SIGTERM)

    eventually(lambda: "stop" in server.told)


def test_a_second_sigint_is_the_servers_force_quit() -> None:
    life = life_of()
    bring_to(Phase.DRAINING, life).signal(signal.SIGINT)
    server = life.host
    assert isinstance(server, FakeServer)

    eventually(lambda: "quit" in server.told)


def test_a_recycled_worker_leaves_the_listener_to_the_others() -> None:
    life, server = life_of(), FakeServer(alone=False)
    server.means_of = lambda event: (Event.RELEASED,) if event is Event.TERM else (event,)
    bring_to(Phase.READY, life, server).signal(signal.SIGTERM)

    eventually(lambda: server.told == ["leave the listener to the others", "stop"])
    assert life.ready


def test_a_recycled_worker_lingers_on_the_connections_it_has() -> None:
    life, server = life_of(), FakeServer(alone=False)
    server.means_of = lambda event: (Event.RELEASED,) if event is Event.TERM else (event,)
    server.connections = 1
    bring_to(Phase.READY, life, server).signal(signal.SIGTERM)
    reach(Phase.DRAINING, life)
    eventually(lambda: "leave the listener to the others" in server.told)
    assert "stop" not in server.told

    server.connections = 0

    eventually(lambda: "stop" in server.told, within=1)


def test_what_the_server_decides_by_itself_is_found_out() -> None:
    life = life_of()
    server = bring_to(Phase.READY, life)
    server.decisions.append(Event.RELEASED)

    reach(Phase.DRAINING, life)


# Among siblings.


def test_a_worker_is_not_ready_once_its_instance_is_leaving() -> None:
    board, seat = seated()
    life = life_of()
    life.begin(FakeServer(conducted=True, alone=False), board=board, seat=seat)
    life.loaded()
    board.ask(1.0)
    board.publish(Phase.SETTLING, 1.0)

    assert (life.ready, life.leaving, life.phase) == (False, True, Phase.SETTLING)


def test_a_worker_among_siblings_speaks_for_all_only_when_the_instance_leaves() -> None:
    board, seat = seated()
    life, server = life_of(), FakeServer(alone=False)
    life.begin(server, board=board, seat=seat)
    life.loaded()
    reach(Phase.READY, life)
    eventually(lambda: seat.phase is Phase.READY)
    assert board.phase is Phase.STARTING

    server.signal(signal.SIGTERM)
    reach(Phase.SETTLING, life)

    eventually(lambda: board.phase is Phase.SETTLING)
    assert (board.leaving, seat.asked) == (True, True)


def test_a_request_at_a_sibling_prolongs_the_settle() -> None:
    board, seat = seated()
    sibling = board.claim(4711)
    assert sibling is not None
    life = life_of(settle=0.01, settle_quiet=30, settle_max=60)
    life.begin(FakeServer(alone=False), board=board, seat=seat)
    life.loaded()
    reach(Phase.READY, life)
    life.inflight.end(life.inflight.begin("request", ENVIRON))
    assert life.inflight.last_arrival is not None
    sibling.begin(1, life.inflight.last_arrival + 3600, begun=1, in_flight=0, subject=ENVIRON, kind="request")
    life.post(Event.TERM)

    reach(Phase.SETTLING, life)


def test_a_worker_whose_master_reports_leaves_it_a_note() -> None:
    board, seat = seated()
    life, server = short(), FakeServer(conducted=True, alone=False)
    life.begin(server, board=board, seat=seat)
    life.loaded()
    life.late.add(delay=0.5, peer=None, method="GET", route="/late")
    assert life.finish(within=5)

    note = json.loads(seat.note)

    assert (note["late"]["count"], note["cut"], note["forced"]) == (1, [], None)


def test_a_note_says_less_rather_than_nothing() -> None:
    board, seat = seated()
    life, server = short(drain=0.05), FakeServer(conducted=True, alone=False)
    life.begin(server, board=board, seat=seat)
    life.loaded()
    for number in range(100):
        life.late.add(delay=number, peer="192.0.2.1", method="GET", route="/" + "x" * 200)
        life.inflight.begin("work", "w" * 200)
    assert life.finish(within=5)

    assert 0 < len(seat.note) <= NOTE_BYTES
    assert json.loads(seat.note)["late"]["count"] == 100


def test_the_last_worker_removes_the_page(tmp_path: Path, report: Path) -> None:
    board = Board.at(tmp_path / "instance.board")
    life = short(report=report)
    life.begin(FakeServer(alone=False), board=board, seat=board.claim(os.getpid()))
    assert life.finish(within=5)

    assert not (tmp_path / "instance.board").exists()


def test_a_worker_that_has_siblings_leaves_them_the_page(tmp_path: Path, report: Path) -> None:
    board = Board.at(tmp_path / "instance.board")
    board.claim(4711)
    life = short(report=report)
    life.begin(FakeServer(alone=False), board=board, seat=board.claim(os.getpid()))
    assert life.finish(within=5)

    assert [seat.pid for seat in board.seats()] == [4711]
    assert (tmp_path / "instance.board").exists()


def test_a_seat_that_was_given_back_is_not_written_any_more(report: Path) -> None:
    board, seat = seated()
    life = short(report=report)
    life.begin(FakeServer(alone=False), board=board, seat=seat)
    life.inflight.end(life.inflight.begin("request", ENVIRON))
    assert life.finish(within=5)
    successor = board.claim(4711)
    assert successor is not None

    life._read()  # As its monitor does until the process ends.

    assert (successor.index, successor.begun) == (seat.index, 0)


# Hooks.


def test_drain_hooks_run_when_the_drain_begins() -> None:
    life, ran = life_of(), threading.Event()
    life.on_drain(ran.set)
    server = bring_to(Phase.SETTLING, life)
    assert not ran.is_set()

    server.signal(signal.SIGINT)

    assert ran.wait(5)


def test_a_drain_hook_is_work_in_flight() -> None:
    life, begun, go_on = short(), threading.Event(), threading.Event()

    @life.on_drain
    def flush() -> None:
        begun.set()
        go_on.wait(5)

    bring_to(Phase.READY, life).signal(signal.SIGTERM)
    begun.wait(5)
    assert [piece.kind for piece in life.inflight.pieces(0.0)] == ["work"]
    assert not life.finish(within=0.1)

    go_on.set()

    assert life.finish(within=5)


def test_a_drain_hook_that_blocks_does_not_stop_the_clock() -> None:
    life, go_on = short(drain=0.05), threading.Event()
    life.on_drain(lambda: go_on.wait(30))
    server = bring_to(Phase.READY, life)
    server.signal(signal.SIGTERM)

    eventually(lambda: "stop" in server.told)
    assert life.finish(within=5)
    go_on.set()


def test_hooks_decorate_and_are_still_callable() -> None:
    life = life_of()

    @life.on_drain
    @life.on_stop
    def hook() -> str:
        return "called"

    assert hook() == "called"


@pytest.mark.parametrize("register", [Lifecycle.on_drain, Lifecycle.on_stop], ids=["drain", "stop"])
def test_a_hook_that_raises_is_logged_and_the_next_one_runs(
    register: Callable[[Lifecycle, Callable[[], Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    life, ran = short(), threading.Event()

    def failing() -> None:
        raise ValueError("in a hook")

    register(life, failing)
    register(life, ran.set)
    bring_to(Phase.READY, life).signal(signal.SIGTERM)
    assert life.finish(within=5)

    assert ran.is_set()
    assert any("failing" in record.getMessage() for record in caplog.records if record.exc_info)


@pytest.mark.parametrize("register", [Lifecycle.on_drain, Lifecycle.on_stop], ids=["drain", "stop"])
def test_an_async_hook_runs_in_the_applications_loop(
    register: Callable[[Lifecycle, Callable[[], Any]], Any],
) -> None:
    life, loops = short(), []

    async def hook() -> None:
        loops.append(asyncio.get_running_loop())

    register(life, hook)

    async def main() -> bool:
        server = FakeServer()
        life.begin(server, loop=asyncio.get_running_loop())
        life.loaded()
        server.signal(signal.SIGTERM)
        ended = await asyncio.to_thread(life.finish, within=5)
        return ended and loops == [asyncio.get_running_loop()]

    assert asyncio.run(main())


@pytest.mark.parametrize("register", [Lifecycle.on_drain, Lifecycle.on_stop], ids=["drain", "stop"])
def test_an_async_hook_runs_without_a_loop_of_the_applications_too(
    register: Callable[[Lifecycle, Callable[[], Any]], Any],
) -> None:
    life, ran = short(), threading.Event()

    async def hook() -> None:
        ran.set()

    register(life, hook)
    bring_to(Phase.READY, life).signal(signal.SIGTERM)

    assert life.finish(within=5)
    assert ran.is_set()


def test_stop_hooks_wait_for_what_is_in_flight() -> None:
    life, ran = short(), threading.Event()
    life.on_stop(ran.set)
    bring_to(Phase.READY, life).signal(signal.SIGTERM)
    with life.working("nightly"):
        assert not life.finish(within=0.1)
        assert not ran.is_set()

    assert life.finish(within=5)
    assert ran.is_set()


def test_stop_hooks_run_in_the_order_they_were_named() -> None:
    life, order = short(), []
    for number in range(3):
        life.on_stop(lambda number=number: order.append(number))
    life.begin(FakeServer())
    assert life.finish(within=5)

    assert order == [0, 1, 2]


def test_stop_hooks_that_hang_are_given_the_cleanup_and_no_more(report: Path) -> None:
    life, go_on = short(cleanup=0.1, report=report), threading.Event()
    life.on_stop(lambda: go_on.wait(30))
    bring_to(Phase.READY, life).signal(signal.SIGTERM)
    life.post(Event.SERVER_DONE)

    assert told(report)["forced"] == "the cleanup did not end in its time"
    go_on.set()


# The end.


def test_the_report_says_what_happened(report: Path) -> None:
    life = short(report=report)
    bring_to(Phase.READY, life).signal(signal.SIGTERM)
    reach(Phase.DRAINING, life)
    assert life.finish(within=5)

    found = told(report)

    assert (found["clean"], found["cause"], found["server"]) == (True, "SIGTERM", "fake")
    assert [each["phase"] for each in found["phases"]][2:] == ["ready", "settling", "draining", "stopping"]


def test_what_outlasts_the_drain_is_named_with_its_stack(report: Path, caplog: pytest.LogCaptureFixture) -> None:
    life = short(drain=0.05, report=report)
    life.inflight.begin("request", ENVIRON, threading.get_ident())
    bring_to(Phase.READY, life).signal(signal.SIGTERM)
    life.finish(within=5)

    (cut,) = told(report)["cut"]

    assert (cut["kind"], cut["method"], cut["route"], cut["id"]) == ("request", "GET", "/slow", "r-1")
    assert any("test_what_outlasts_the_drain_is_named_with_its_stack" in frame for frame in cut["stack"])
    assert [record.__dict__["zdlife"] for record in caplog.records if record.levelname == "ERROR"] == [cut]


def test_late_arrivals_are_in_the_report(report: Path) -> None:
    life = life_of(report=report)
    server = bring_to(Phase.DRAINING, life)
    life.arrived_late(ENVIRON, "192.0.2.1")
    server.queue = 0
    assert life.finish(within=5)

    assert told(report)["late_arrivals"]["count"] == 1


def test_each_change_of_phase_is_one_record_of_information(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="zdlife.lifecycle")
    life = short()
    bring_to(Phase.READY, life).signal(signal.SIGTERM)
    assert life.finish(within=5)

    told = [record.__dict__["zdlife"]["phase"] for record in caplog.records if record.getMessage() == "phase changed"]

    assert told == ["warming", "ready", "settling", "draining", "stopping", "stopped"]


def test_to_finish_twice_is_to_finish_once(report: Path) -> None:
    life = short(report=report)
    life.begin(FakeServer())

    assert life.finish(within=5)
    assert life.finish(within=5)
    assert len(records(report)) == 1


def test_the_loop_is_free_while_it_waits_for_the_end() -> None:
    life = short()

    async def main() -> list[str]:
        order: list[str] = []
        life.begin(FakeServer(), loop=asyncio.get_running_loop())
        life.waits_for_lifespan = True

        async def end() -> None:
            await life.finish_hooks()
            await life.finish_async()
            order.append("ended")

        ending = asyncio.ensure_future(end())
        await asyncio.sleep(0)
        order.append("served meanwhile")
        await ending
        return order

    assert asyncio.run(main()) == ["served meanwhile", "ended"]


def test_an_executor_full_of_work_that_hangs_does_not_hold_the_end_up() -> None:
    life, go_on = short(), threading.Event()

    async def main() -> bool:
        life.begin(FakeServer(), loop=asyncio.get_running_loop())
        life.waits_for_lifespan = True
        hung = [asyncio.ensure_future(asyncio.to_thread(go_on.wait, 30)) for _ in range(64)]
        await asyncio.wait_for(life.finish_hooks(), 5)
        await asyncio.wait_for(life.finish_async(), 5)
        go_on.set()
        await asyncio.gather(*hung)
        return life.phase is Phase.STOPPED

    assert asyncio.run(main())


def test_a_process_that_is_not_the_servers_own_is_left_alone(report: Path) -> None:
    life = short(drain=0, cleanup=0, grace=0.1, report=report)
    bring_to(Phase.READY, life).signal(signal.SIGTERM)

    assert told(report)["forced"]
    reach(Phase.STOPPED, life)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # monitors of other tests may be ending
def test_a_process_of_the_servers_own_that_does_not_end_is_ended(report: Path) -> None:
    pid = os.fork()
    if pid == 0:
        life, server = short(drain=0, cleanup=0.05, grace=0.2, report=report), FakeServer()
        server.owns_process = True
        life.begin(server)
        life.loaded()
        server.signal(signal.SIGTERM)
        threading.Event().wait(30)
        os._exit(99)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 1
    assert told(report)["forced"]
