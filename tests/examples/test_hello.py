"""The files of examples/hello, which the documentation shows, do what it says."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
from collections.abc import MutableMapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support import require_module, require_program
from zdlife import Phase
from zdlife.probes.answers import PROBES
from zdlife.rehearsal import plan
from zdlife.settings import PROFILES

HELLO = Path(__file__).resolve().parents[2] / "examples" / "hello"


@pytest.fixture
def hello() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hello", HELLO / "hello.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_asgi_application_greets(hello: ModuleType) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(hello.hello_asgi({"type": "http"}, None, send))
    assert sent[1]["body"] == b"hello from unknown\n"


def test_the_wsgi_application_greets(hello: ModuleType) -> None:
    assert list(hello.hello_wsgi({}, lambda _status, _headers: None)) == [b"hello from unknown\n"]


def test_nothing_begins_when_it_is_imported(hello: ModuleType) -> None:
    assert hello.life.phase is Phase.STARTING
    assert not hello.life.begun


def test_the_plan_is_valid_and_rehearses_on_uvicorn() -> None:
    assert plan.read(HELLO / "rehearsal.toml").default_servers == ("uvicorn",)


def test_the_gunicorn_configuration_keeps_its_own_hook() -> None:
    namespace: dict[str, Any] = {}
    exec(compile((HELLO / "gunicorn.conf.py").read_text(), "gunicorn.conf.py", "exec"), namespace)
    assert namespace["when_ready"].__code__.co_argcount == 1
    assert {"on_starting", "pre_fork", "post_fork", "worker_exit", "child_exit", "on_exit"} <= namespace.keys()


def test_the_kubernetes_manifest_agrees_with_the_profile_it_names() -> None:
    manifest = require_module("yaml").safe_load((HELLO / "kubernetes.yaml").read_text())
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert pod["terminationGracePeriodSeconds"] == PROFILES[given["ZDLIFE_PROFILE"]]["grace"]
    asked = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")]
    assert asked == ["/startupz", "/readyz", "/livez"]
    assert set(asked) <= PROBES.keys()
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "readiness", "liveness")} == {
        "management"
    }
    assert given["ZDLIFE_MANAGEMENT_PORT"] == str(ports["management"])


def test_haproxy_takes_its_configuration() -> None:
    command = [require_program("haproxy"), "-c", "-f", str(HELLO / "haproxy.cfg")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    command = [require_program("nginx"), "-t", "-p", str(tmp_path), "-c", str(HELLO / "nginx.conf")]
    elsewhere = f"error_log {tmp_path}/error.log; pid {tmp_path}/nginx.pid;"
    checked = subprocess.run([*command, "-g", elsewhere], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
