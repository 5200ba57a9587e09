"""One row a server, from its name to its command line and environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from zdlife.errors import PlanError
from zdlife.rehearsal.plan import SERVER_NAMES, Plan, ServerName, parse
from zdlife.rehearsal.servers import SERVERS, Shape, application, command, environment


def shape(*, with_zdlife: bool = True, extra: tuple[str, ...] = ()) -> Shape:
    return Shape(port=8001, workers=3, threads=4, with_zdlife=with_zdlife, drain=7.2, extra=extra)


def plan(**app: str) -> Plan:
    return parse({"app": {"asgi": "shop:app", "wsgi": "shop:wsgi", **app}}, file=Path("rehearsal.toml"))


def env(monkeypatch: pytest.MonkeyPatch, *, with_zdlife: bool = True, **outside: str) -> dict[str, str]:
    for name, value in outside.items():
        monkeypatch.setenv(name, value)
    return environment(
        plan(),
        application="shop:app",
        release={"COLOUR": "green"},
        with_zdlife=with_zdlife,
        own={"ZDLIFE_INSTANCE": "shop-old-1"},
    )


def test_every_server_has_a_row() -> None:
    assert set(SERVERS) == set(SERVER_NAMES)


@pytest.mark.parametrize("server", SERVER_NAMES)
def test_every_server_runs_the_witness_on_loopback_at_its_port(server: ServerName) -> None:
    argv = command(server, shape())
    assert argv[:2] == [sys.executable, "-m"]
    assert argv[-1] == f"zdlife.rehearsal.witness:{SERVERS[server].interface}"
    assert "8001" in " ".join(argv)
    assert "127.0.0.1" in " ".join(argv)


@pytest.mark.parametrize("server", [name for name in SERVER_NAMES if name.startswith("gunicorn")])
def test_gunicorn_has_the_hooks_with_zdlife_and_as_much_time_without(server: ServerName) -> None:
    assert "python:zdlife.gunicorn" in command(server, shape())
    bare = command(server, shape(with_zdlife=False))
    assert "python:zdlife.gunicorn" not in bare
    assert bare[bare.index("--graceful-timeout") + 1] == "8"


@pytest.mark.parametrize(("version", "has_one"), [("25.0.3", False), ("25.1.0", True), ("27.0.1", True)])
def test_gunicorn_does_not_take_over_the_control_socket_of_another(
    version: str, has_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: version)
    assert ("--no-control-socket" in command("gunicorn-sync", shape())) is has_one


def test_the_plans_own_arguments_come_last_but_for_the_target() -> None:
    assert command("uvicorn", shape(extra=("--loop", "asyncio")))[-3:-1] == ["--loop", "asyncio"]


def test_the_control_runs_the_bare_app_where_there_is_one() -> None:
    assert application(plan(bare_asgi="shop:bare"), "uvicorn", with_zdlife=False) == "shop:bare"
    assert application(plan(), "uvicorn", with_zdlife=False) == "shop:app"
    assert application(plan(bare_asgi="shop:bare"), "uvicorn", with_zdlife=True) == "shop:app"


def test_a_server_without_an_app_is_named_with_the_key_to_add() -> None:
    only = parse({"app": {"asgi": "shop:app"}})
    with pytest.raises(PlanError, match='gunicorn-sync runs a WSGI app: add wsgi = "module:name"'):
        application(only, "gunicorn-sync", with_zdlife=True)


def test_the_caller_cannot_change_what_is_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = env(monkeypatch, ZDLIFE_SETTLE="99", GUNICORN_CMD_ARGS="--reload", WEB_CONCURRENCY="9", HOME="/home/x")
    assert inside["ZDLIFE_SETTLE"] == "2.5"
    assert "GUNICORN_CMD_ARGS" not in inside
    assert "WEB_CONCURRENCY" not in inside
    assert inside["HOME"] == "/home/x"


def test_the_shared_store_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env(monkeypatch, ZDLIFE_REDIS_URL="redis://store")["ZDLIFE_REDIS_URL"] == "redis://store"


def test_an_instance_knows_its_app_its_release_and_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = env(monkeypatch, PYTHONPATH="lib")
    assert inside["REHEARSAL_APP"] == "shop:app"
    assert inside["COLOUR"] == "green"
    assert inside["ZDLIFE_INSTANCE"] == "shop-old-1"
    assert inside["PYTHONPATH"].split(":") == [str(Path.cwd()), str(Path("lib").resolve())]


def test_the_control_has_the_kill_switch_thrown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env(monkeypatch)["ZDLIFE_ENABLED"] == "true"
    assert env(monkeypatch, with_zdlife=False)["ZDLIFE_ENABLED"] == "false"
