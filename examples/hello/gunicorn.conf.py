"""A configuration of one's own, with zdlife's hooks after the hooks that are there already."""

from typing import Any

from zdlife.gunicorn import install

bind = "0.0.0.0:8000"
workers = 2
worker_class = "gthread"
threads = 8


def when_ready(server: Any) -> None:
    server.log.info("a hook of one's own")


install(globals())
