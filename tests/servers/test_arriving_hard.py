"""Readiness where it is hard: children, crashes, reloads, upgrades and values that nobody expects, on real servers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import eventually
from support.arriving import Arriving, free_port
from support.clients import get
from support.servers import APPS, SERVERS, Instance

APPLICATION = """
import asyncio, decimal, logging, multiprocessing, os, threading, time
from plain import FOLDER, mark
from zdlife import Lifecycle
from zdlife.asgi import LifecycleMiddleware as AroundASGI
from zdlife.checks import Caution
from zdlife.wsgi import LifecycleMiddleware as AroundWSGI

life = Lifecycle()
MODE = os.environ.get("TEST_MODE", "")
if (FOLDER / "slow-import").exists():
    time.sleep(float((FOLDER / "slow-import").read_text()))

@life.check("db", interval=0.5, timeout=0.5)
def db():
    if MODE == "db-down" or (FOLDER / "db-down").exists():
        raise ConnectionError("down")

if MODE == "uvloop":
    import uvloop
    uvloop.install()
if MODE == "caution":
    life.check("by-the-way", kind="degrades", interval=1, timeout=1)(lambda: Caution(ConnectionError("down")))
if MODE == "decimal":
    life.warm("prices")(lambda warm: warm.advance(decimal.Decimal(1), decimal.Decimal(3)))
if MODE == "unprintable":
    class Unprintable(Exception):
        def __str__(self):
            return None
    @life.check("by-the-way", kind="degrades", interval=0.5, timeout=0.5)
    def by_the_way():
        raise Unprintable
if MODE == "slow-log":
    class Slow(logging.Handler):
        def emit(self, record):
            time.sleep(0.3)
    logging.getLogger("zdlife.lifecycle").addHandler(Slow())
    logging.getLogger("zdlife").setLevel(logging.INFO)
if MODE in ("slow-log", "crash"):
    @life.warm("prices")
    def prices():
        mark("warming")
        time.sleep(0.5)
        if (FOLDER / "broken").exists():
            os._exit(139)
        mark("warm")
if MODE == "coroutine":
    async def load():
        mark("warm")
    life.warm("prices")(lambda: load())
if MODE == "threads":
    def connections():
        while True:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            time.sleep(0.02)
    @life.check("slow", interval=0.1, timeout=0.1)
    def slow():
        time.sleep(0.05)
        if (FOLDER / "down").exists():
            raise ConnectionError("down")
    threading.Thread(target=connections, daemon=True).start()

def act(path):
    if path == "/terminated-child":
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,), daemon=True)
        child.start()
        time.sleep(0.2)
        child.terminate()
        child.join(1)
        child.kill()
    if path == "/child":
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        mark("forked")
    return b"ok"

def plain_wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [act(environ["PATH_INFO"])]

async def plain_asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = await asyncio.to_thread(act, scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": body})

wsgi, asgi = AroundWSGI(plain_wsgi, life), AroundASGI(plain_asgi, life)
"""


@contextmanager
def serving(
    name: str,
    folder: Path,
    *,
    mode: str = "",
    workers: int | None = None,
    extra: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    executable: str | None = None,
) -> Iterator[Arriving]:
    """Run `APPLICATION` in this mode under the server `name`."""
    server = SERVERS[name] if workers is None else SERVERS[name].with_workers(workers)
    (folder / "apps").mkdir(parents=True)
    (folder / "apps" / "hard.py").write_text(APPLICATION)
    port, management = free_port(), free_port()
    command = server.command(port, application=f"hard:{server.interface}", extra=extra)
    if executable:
        command = [str(Path(sys.executable).with_name(executable)), *command[3:]]
    variables = {
        "ZDLIFE_MANAGEMENT_PORT": str(management),
        "TEST_MODE": mode,
        "PYTHONPATH": os.pathsep.join((str(folder / "apps"), str(APPS))),
        **(environment or {}),
    }
    with Instance(server, folder, environment=variables, command=command, port=port) as instance:
        yield Arriving(instance, management)


def serves(found: Arriving) -> bool:
    with contextlib.suppress(OSError):
        return bool(get(found.port, "/", timeout=2).status == 200)
    return False


def pids(found: Arriving) -> list[int]:
    return [worker["pid"] for worker in found.status()["workers"]["each"]]


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn-sync"])
def test_the_management_port_answers_where_uvloop_is_the_process_s_policy(name: str, tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    with serving(name, tmp_path, mode="uvloop") as found:
        found.wait_until_ready(within=10)


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn"])
def test_a_child_that_the_application_terminates_takes_nothing_out(name: str, tmp_path: Path) -> None:
    with serving(name, tmp_path) as found:
        found.wait_until_ready()
        assert get(found.port, "/terminated-child", timeout=10).status == 200
        assert found.is_ready(), found.health()["reasons"]


def test_children_that_the_application_terminates_do_not_make_a_recycled_worker_the_whole_instance(
    tmp_path: Path,
) -> None:
    with serving("uvicorn-workers", tmp_path) as found:
        found.wait_until_ready()
        for _ in range(10):
            get(found.port, "/terminated-child", timeout=10)
        found.instance.signal(signal.SIGTTOU)
        eventually(lambda: len(pids(found)) == 1, within=25)
        assert serves(found)
        assert found.is_ready(), found.health()["reasons"]


def test_a_listener_that_a_child_has_inherited_swallows_no_probe(tmp_path: Path) -> None:
    with serving("gunicorn-sync", tmp_path, workers=2) as found:
        found.wait_until_ready()
        get(found.port, "/child")
        (worker,) = found.instance.marks("forked")
        os.kill(worker, signal.SIGTERM)
        eventually(lambda: not Path(f"/proc/{worker}").exists(), within=20)
        lost = 0
        for _ in range(25):
            try:
                get(found.management, "/readyz", timeout=2)
            except OSError:
                lost += 1
        assert lost == 0


def test_uvicorn_serves_after_a_reload_for_a_changed_file(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    (watched / "code.py").write_text("")
    with serving("uvicorn", tmp_path, extra=("--reload", "--reload-dir", str(watched))) as found:
        found.wait_until_ready()
        (first,) = pids(found)
        assert serves(found)

        def replaced() -> bool:  # uvicorn's parent may not be watching yet when its child is ready.
            (watched / "code.py").write_text(f"changed = {time.monotonic()}")
            return not Path(f"/proc/{first}").exists()

        eventually(replaced, within=30, every=0.5)
        eventually(lambda: serves(found), within=15)


def test_a_worker_that_is_stopped_while_its_sibling_is_made_anew_is_not_the_whole_instance(tmp_path: Path) -> None:
    with serving("uvicorn-workers", tmp_path) as found:
        found.wait_until_ready()
        first, second = pids(found)
        (found.instance.folder / "slow-import").write_text("4")
        os.kill(first, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{first}").exists(), within=10)
        os.kill(second, signal.SIGTERM)  # As uvicorn below 0.54 does at each SIGHUP.
        eventually(lambda: not Path(f"/proc/{second}").exists(), within=30)
        eventually(lambda: serves(found), within=20)
        eventually(found.is_ready, within=20)


def test_granian_s_reload_of_an_application_that_takes_long_to_import_ends_ready(tmp_path: Path) -> None:
    times = {"ZDLIFE_SETTLE": "3", "ZDLIFE_SETTLE_MAX": "4"}
    with serving("granian", tmp_path, environment=times) as found:
        found.wait_until_ready()
        (first,) = pids(found)
        (found.instance.folder / "slow-import").write_text("4.5")
        found.instance.signal(signal.SIGHUP)
        eventually(lambda: not Path(f"/proc/{first}").exists(), within=30)
        eventually(lambda: serves(found), within=20)
        eventually(found.is_ready, within=10)


def test_the_management_port_passes_to_the_new_master_of_an_upgrade(tmp_path: Path) -> None:
    with serving("gunicorn-sync", tmp_path, workers=2, executable="gunicorn") as found:
        found.wait_until_ready()
        old = set(pids(found))
        found.instance.signal(signal.SIGUSR2)
        eventually(lambda: len(found.instance.phases("ready")) == 6, within=30)
        found.instance.signal(signal.SIGTERM)
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in old), within=30)
        assert serves(found)
        eventually(found.is_ready, within=5)


@pytest.mark.parametrize("mode", ["caution", "decimal"])
def test_a_value_that_json_does_not_know_takes_nothing_out(mode: str, tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path, mode=mode) as found:
        eventually(lambda: serves(found), within=20)
        found.wait_until_ready(within=5)
        assert found.probe("/status").status == 200


def test_a_check_whose_exception_cannot_be_printed_is_a_failure_like_any_other(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path, mode="unprintable") as found:
        found.wait_until_ready()
        found.wait_for_reasons("check:by-the-way", within=5)
        assert found.instance.journal("the monitor's turn failed") == []


def test_a_worker_that_arrives_never_makes_a_serving_instance_red(tmp_path: Path) -> None:
    with serving("gunicorn-gthread", tmp_path, workers=3, mode="slow-log") as found:
        eventually(lambda: found.is_ready() and found.health()["reasons"] == [], within=30)
        eventually(lambda: len(found.instance.arrivals()) == 3, within=10)
        os.kill(found.instance.marks("warm")[0], signal.SIGKILL)
        red: list[list[str]] = []

        def arrived() -> bool:
            with contextlib.suppress(OSError):
                answer = found.health()
                if answer["status"] == "fail":
                    red.append(answer["reasons"])
            return len(found.instance.arrivals()) == 4

        eventually(arrived, within=20, every=0.005)
        assert red == []


def test_the_old_workers_stay_while_the_new_ones_of_a_reload_crash(tmp_path: Path) -> None:
    with serving("gunicorn-sync", tmp_path, workers=2, mode="crash") as found:
        found.wait_until_ready()
        (found.instance.folder / "broken").touch()
        found.instance.signal(signal.SIGHUP)
        eventually(lambda: found.instance.output.count("exited with code") >= 2, within=30)
        found.wait_for_reasons()
        assert serves(found)
        assert found.is_ready()


def test_a_reload_while_the_dependency_is_down_leaves_somebody_who_accepts(tmp_path: Path) -> None:
    with serving("gunicorn-sync", tmp_path, workers=2, mode="crash") as found:
        found.wait_until_ready()
        (found.instance.folder / "db-down").touch()
        eventually(lambda: not found.is_ready(), within=10)
        assert serves(found)
        found.instance.signal(signal.SIGHUP)
        answers: list[bool] = []

        def reloaded() -> bool:
            answers.append(serves(found))
            return len(found.instance.marks("warm")) == 4

        eventually(reloaded, within=30)
        assert all(answers)


def test_a_warmer_that_returns_what_nobody_awaits_is_not_done(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path, mode="coroutine") as found:
        eventually(lambda: serves(found), within=20)
        (warmer,) = found.status()["warmers"]
        assert [each["status"] for each in warmer["workers"]] != ["done"] or found.instance.marks("warm")


def test_a_worker_whose_dependency_is_down_from_the_start_waits_without_spinning(tmp_path: Path) -> None:
    with serving("gunicorn-sync", tmp_path, workers=1, mode="db-down") as found:
        eventually(lambda: _reasons(found) == ["warming", "check:db"], within=20)
        (worker,) = pids(found)
        began = time.monotonic()
        eventually(lambda: time.monotonic() > began + 6, within=10, every=0.5)
        before, turned = _voluntary_switches(worker), time.monotonic()
        eventually(lambda: time.monotonic() > turned + 2, within=10, every=0.5)
        assert _voluntary_switches(worker) - before < 400  # A thousand turns a second, where it spins.


def _reasons(found: Arriving) -> list[str]:
    with contextlib.suppress(OSError):
        return list(found.health()["reasons"])
    return []


def _voluntary_switches(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        line = next(each for each in (task / "status").read_text().splitlines() if each.startswith("voluntary"))
        total += int(line.split()[1])
    return total


def test_probes_that_come_all_at_once_are_all_answered(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path) as found:
        found.wait_until_ready()
        os.kill(found.instance.pid, signal.SIGSTOP)
        clients = [socket.create_connection(("127.0.0.1", found.management), timeout=10) for _ in range(100)]
        for client in clients:
            client.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        os.kill(found.instance.pid, signal.SIGCONT)
        answers = []
        for client in clients:
            with client, contextlib.suppress(OSError):
                answers.append(client.recv(15))
        assert answers == [b"HTTP/1.1 200 OK"] * 100


def test_a_check_is_not_blamed_for_the_threads_of_the_application(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path, mode="threads") as found:
        found.wait_until_ready()
        began = time.monotonic()
        eventually(lambda: time.monotonic() > began + 6, within=10, every=0.5)
        (found.instance.folder / "down").touch()
        eventually(lambda: "check:slow" in _reasons(found) and not found.is_ready(), within=10)
