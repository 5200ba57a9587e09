"""The hooks for gunicorn's configuration: one's own run first, and gunicorn finds each with the arguments it checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support import require_module
from zdlife import gunicorn as hooks

NAMES = [hook.__name__ for hook in hooks._HOOKS]


def arity(function: Callable[..., Any]) -> int:
    return function.__code__.co_argcount


def test_every_hook_is_added() -> None:
    namespace: dict[str, Any] = {"bind": "127.0.0.1:0"}
    hooks.install(namespace)

    assert set(namespace) == {"bind", *NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_setting_of_gunicorns_and_takes_its_arguments(name: str) -> None:
    config = require_module("gunicorn.config")
    namespace: dict[str, Any] = {}
    hooks.install(namespace)
    found = config.Config()

    found.set(name, namespace[name])

    assert found.settings[name].get() is namespace[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_hook_of_ones_own_runs_too_and_keeps_its_arguments(name: str) -> None:
    one, two = (lambda server: None), (lambda server, worker: None)
    before = one if arity(getattr(hooks, name)) == 1 else two
    namespace: dict[str, Any] = {name: before}
    hooks.install(namespace)

    assert namespace[name] is not before
    assert arity(namespace[name]) == arity(before)


def test_a_hook_of_ones_own_runs_first(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    worker, server = object(), object()
    namespace: dict[str, Any] = {"pre_fork": lambda server, worker: order.append("own")}
    hooks.install(namespace)
    conductor = type("Conductor", (), {"seat": lambda self, worker: order.append("zdlife")})()
    monkeypatch.setitem(hooks._conductors, id(server), conductor)

    namespace["pre_fork"](server, worker)

    assert order == ["own", "zdlife"]


def test_hooks_that_were_star_imported_are_not_doubled() -> None:
    namespace: dict[str, Any] = {name: getattr(hooks, name) for name in NAMES}
    hooks.install(namespace)

    assert all(namespace[name] is getattr(hooks, name) for name in NAMES)


def test_to_install_twice_is_to_install_once() -> None:
    ran: list[str] = []
    namespace: dict[str, Any] = {"when_ready": lambda server: ran.append("own")}
    hooks.install(namespace)
    once = dict(namespace)
    hooks.install(namespace)

    assert namespace == once


def test_nothing_happens_in_a_master_that_zdlife_does_not_conduct() -> None:
    server, worker = object(), object()
    hooks.when_ready(server)
    hooks.on_reload(server)
    hooks.pre_fork(server, worker)
    hooks.post_fork(server, worker)
    hooks.child_exit(server, worker)
    hooks.on_exit(server)
