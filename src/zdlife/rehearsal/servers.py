"""How each server is started: one row a server, from its name to its command line."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from zdlife.errors import PlanError
from zdlife.rehearsal.plan import Plan, ServerName

Interface = Literal["asgi", "wsgi"]
WITNESS: Mapping[Interface, str] = {
    "asgi": "zdlife.rehearsal.witness:asgi",
    "wsgi": "zdlife.rehearsal.witness:wsgi",
}
OTHERS_KNOBS = ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "UVICORN_", "GRANIAN_", "HYPERCORN_", "ZDLIFE_")
"""Variables of the caller's environment that would quietly change what is rehearsed."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a command line is made from."""

    port: int
    workers: int
    threads: int
    with_zdlife: bool
    drain: float
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """One row of the table."""

    interface: Interface
    modules: tuple[str, ...]
    arguments: Callable[[Shape], list[str]]


def _gunicorn(worker: str) -> Callable[[Shape], list[str]]:
    def arguments(shape: Shape) -> list[str]:
        # With zdlife the hooks set the timeout from the drain; without, the server's own stop is given as much time.
        drain = str(max(1, math.ceil(shape.drain)))
        stop = ["-c", "python:zdlife.gunicorn"] if shape.with_zdlife else ["--graceful-timeout", drain]
        threads = ["--threads", str(shape.threads)] if worker == "gthread" else []
        bind = ["-b", f"127.0.0.1:{shape.port}", "-w", str(shape.workers)]
        return ["gunicorn", *bind, "-k", worker, *threads, *stop, *_no_control_socket()]

    return arguments


def _no_control_socket() -> list[str]:
    """Return what keeps gunicorn, from 25.1 on, from taking over the socket of one that this user runs already."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        major, minor, *_ = metadata.version("gunicorn").split(".")
        if (int(major), int(minor)) >= (25, 1):
            return ["--no-control-socket"]
    return []


def _uvicorn(shape: Shape, *, workers: int = 1) -> list[str]:
    return [
        "uvicorn",
        "--host",
        "127.0.0.1",
        "--port",
        str(shape.port),
        "--workers",
        str(workers),
        "--no-access-log",
    ]


def _uvicorn_workers(shape: Shape) -> list[str]:
    return _uvicorn(shape, workers=max(2, shape.workers))


def _granian(shape: Shape) -> list[str]:
    bind = ["--host", "127.0.0.1", "--port", str(shape.port)]
    return ["granian", *bind, "--workers", str(shape.workers), "--interface", "asgi"]


def _hypercorn(shape: Shape) -> list[str]:
    return ["hypercorn", "-b", f"127.0.0.1:{shape.port}", "-w", str(shape.workers)]


SERVERS: Mapping[ServerName, Server] = {
    "gunicorn-sync": Server("wsgi", ("gunicorn",), _gunicorn("sync")),
    "gunicorn-gthread": Server("wsgi", ("gunicorn",), _gunicorn("gthread")),
    "gunicorn-asgi": Server("asgi", ("gunicorn",), _gunicorn("asgi")),
    "gunicorn-uvicorn": Server("asgi", ("gunicorn", "uvicorn_worker"), _gunicorn("uvicorn_worker.UvicornWorker")),
    "uvicorn": Server("asgi", ("uvicorn",), _uvicorn),
    "uvicorn-workers": Server("asgi", ("uvicorn",), _uvicorn_workers),
    "granian": Server("asgi", ("granian",), _granian),
    "hypercorn": Server("asgi", ("hypercorn",), _hypercorn),
}


def command(server: ServerName, shape: Shape) -> list[str]:
    """Return the argument vector that starts `server` with the witness in front of the application."""
    row = SERVERS[server]
    return [sys.executable, "-m", *row.arguments(shape), *shape.extra, WITNESS[row.interface]]


def application(plan: Plan, server: ServerName, *, with_zdlife: bool) -> str:
    """Return the `module:name` that `server` is to run, once its packages are known to be installed.

    Raises:
        PlanError: the plan has no application of that interface, or the server is not installed.
    """
    row = SERVERS[server]
    for module in row.modules:
        if importlib.util.find_spec(module) is None:
            package = module.replace("_", "-")
            raise PlanError(f"{server} needs {package}, which is not installed. Run: pip install {package}")
    guarded, bare = (
        (plan.app.asgi, plan.app.bare_asgi) if row.interface == "asgi" else (plan.app.wsgi, plan.app.bare_wsgi)
    )
    name = guarded if with_zdlife else bare or guarded
    if name is None:
        key = row.interface if with_zdlife else f"bare_{row.interface}"
        raise PlanError(
            f'{plan.file}: {server} runs a {row.interface.upper()} app: add {key} = "module:name" to [app].'
        )
    return name


def environment(
    plan: Plan, *, application: str, release: Mapping[str, str], with_zdlife: bool, own: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of an instance; `own` are the variables of that one instance."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS_KNOBS)}
    if (redis := os.environ.get("ZDLIFE_REDIS_URL")) is not None:
        kept["ZDLIFE_REDIS_URL"] = redis
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    search = [str(plan.folder), *(str(Path(entry).resolve()) for entry in inherited if entry)]
    return {
        **kept,
        **plan.settings.environment(),
        **plan.app.env,
        **release,
        **own,
        "ZDLIFE_ENABLED": "true" if with_zdlife else "false",
        "REHEARSAL_APP": application,
        "PYTHONPATH": os.pathsep.join(search),
        "PYTHONUNBUFFERED": "1",
    }
