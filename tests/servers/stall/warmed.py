"""The stall with an oven to be heated before a worker is ready: each worker of it takes STALL_HEATING seconds."""

from __future__ import annotations

import os
import time

from plain import bare_asgi, bare_wsgi

import zdlife
from zdlife.asgi import LifecycleMiddleware
from zdlife.wsgi import LifecycleMiddleware as LifecycleMiddlewareWSGI

HEATING = float(os.environ.get("STALL_HEATING", "1.5"))
asgi_life, wsgi_life = zdlife.Lifecycle(), zdlife.Lifecycle()


@asgi_life.warm("oven")
@wsgi_life.warm("oven")
def heat() -> None:
    """Heat the oven."""
    time.sleep(HEATING)


asgi = LifecycleMiddleware(bare_asgi, asgi_life)
wsgi = LifecycleMiddlewareWSGI(bare_wsgi, wsgi_life)
