"""For each server, how it stops and how zdlife takes its turn.

`around_import` is asked where the application is wrapped, `around_asgi` at its lifespan's start (or first request) and
`around_wsgi` at its first request. Each finds the server around it, if it can already tell, and begins the lifecycle
there; a lifecycle that has begun is left alone.
"""

from __future__ import annotations

import asyncio
import sys

from zdlife.lifecycle import Lifecycle
from zdlife.servers import granian, gunicorn, hypercorn, uvicorn
from zdlife.servers.alone import Alone


def around_import(life: Lifecycle) -> None:
    """Look around where the middleware is made: under gunicorn and in hypercorn's workers that is early enough."""
    if "gunicorn" in sys.modules:
        gunicorn.here.wrapped(life)
    if "hypercorn" in sys.modules:
        hypercorn.catch_shutdown_event(life)


def around_asgi(life: Lifecycle, loop: asyncio.AbstractEventLoop) -> None:
    """Begin under the ASGI server that runs `loop`; called in the loop, before the application starts."""
    if life.begun:
        life.join(loop)
        return
    if "gunicorn" in sys.modules and gunicorn.begin_asgi(life, loop):
        return
    for begin in (uvicorn.begin, granian.begin, hypercorn.begin):
        if begin(life, loop):
            return
    life.begin(Alone(loop), loop=loop)


def around_wsgi(life: Lifecycle) -> None:
    """Begin under a WSGI server that was not found before; called with the first request, in whatever thread."""
    if not life.begun:
        around_import(life)  # Under gunicorn's preload, it is the worker that is there now.
    if not life.begun:
        life.begin(Alone())
        life.loaded()
