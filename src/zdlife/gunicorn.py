"""The hooks for gunicorn.

    gunicorn -c python:zdlife.gunicorn app:app

uses them without a file of one's own. In one's own `gunicorn.conf.py`, put at the end:

    from zdlife.gunicorn import install
    install(globals())

Hooks that are there already run first. gunicorn 22 to 27; workers sync, gthread, asgi and uvicorn-worker's.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from zdlife.errors import ZdlifeError
from zdlife.servers import gunicorn as _workers
from zdlife.servers.arbiter import Conductor as _Conductor
from zdlife.settings import load_settings as _load_settings

_conductors: dict[int, _Conductor] = {}
"""The conductor of this process's arbiter. It lives here, in an imported module, because gunicorn executes its
configuration again at every reload."""


def on_starting(server: Any) -> None:
    """Stand before the arbiter's signal handlers, before it sets them."""
    try:
        settings = _load_settings()
        if settings.enabled:
            conductor = _Conductor(settings, server)
            conductor.take_place()
            _conductors[id(server)] = conductor
    except ZdlifeError as error:
        server.log.error("zdlife: %s", error)  # noqa: TRY400  # one clear line; where it was raised helps nobody
        raise SystemExit(2) from None


def when_ready(server: Any) -> None:
    """The arbiter listens."""
    if id(server) in _conductors:
        _conductors[id(server)].ready()


def on_reload(server: Any) -> None:
    """The configuration was read again."""
    if id(server) in _conductors:
        _conductors[id(server)].check_timeouts()


def pre_fork(server: Any, worker: Any) -> None:
    """A worker is about to be made."""
    if id(server) in _conductors:
        _conductors[id(server)].seat(worker)


def post_fork(server: Any, worker: Any) -> None:
    """The worker is a process of its own."""
    if id(server) in _conductors:
        _workers.seated(worker)


def post_worker_init(worker: Any) -> None:
    """The worker's application is loaded and its signals are set."""
    _workers.initialized(worker)


def worker_exit(server: Any, worker: Any) -> None:
    """The worker ends."""
    _workers.exited(worker)


def child_exit(server: Any, worker: Any) -> None:
    """The arbiter has reaped a worker."""
    if id(server) in _conductors:
        _conductors[id(server)].reap(worker)


def on_exit(server: Any) -> None:
    """The arbiter ends, and its workers have ended."""
    conductor = _conductors.pop(id(server), None)
    if conductor is not None:
        conductor.stopped()


_HOOKS: tuple[Callable[..., None], ...] = (
    on_starting,
    when_ready,
    on_reload,
    pre_fork,
    post_fork,
    post_worker_init,
    worker_exit,
    child_exit,
    on_exit,
)


def install(namespace: MutableMapping[str, Any]) -> None:
    """Add zdlife's hooks to a configuration's `globals()`, after the hooks that are there already."""
    for hook in _HOOKS:
        namespace[hook.__name__] = _after(namespace.get(hook.__name__), hook)


def _after(before: Callable[..., Any] | None, hook: Callable[..., None]) -> Callable[..., None]:
    if before is None or before is hook or getattr(before, "runs_zdlife", False):
        return before or hook
    # gunicorn checks how many arguments a hook takes.
    if hook.__code__.co_argcount == 1:

        def one(server: Any) -> None:
            before(server)
            hook(server)

        one.__dict__["runs_zdlife"] = True
        return one

    def two(server: Any, worker: Any) -> None:
        before(server, worker)
        hook(server, worker)

    two.__dict__["runs_zdlife"] = True
    return two
