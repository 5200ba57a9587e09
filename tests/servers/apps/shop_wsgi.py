"""A WSGI application without a framework: `app` lives with zdlife, `bare` without."""

from __future__ import annotations

import os
import time
from urllib.parse import parse_qs

from plain import PART, PARTS, hooks, mark, receipt, wait_at


def bare(environ, start_response):
    gate = parse_qs(environ["QUERY_STRING"]).get("gate", [""])[0]
    match environ["PATH_INFO"]:
        case "/":
            return respond(start_response, str(os.getpid()).encode())
        case "/hold" | "/block":
            wait_at(gate)
            return respond(start_response, b"held")
        case "/pause":
            time.sleep(0.05)
            return respond(start_response, b"paused")
        case "/stream":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return stream(gate)
        case "/upload":
            mark("at-upload")
            return respond(start_response, receipt(environ["wsgi.input"].read()))
        case _:
            return respond(start_response, b"not here", status="404 Not Found")


def stream(gate):
    for number in range(PARTS):
        if number == PARTS // 2:
            wait_at(gate)
        yield PART


def respond(start_response, body, *, status="200 OK"):
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


if not os.environ.get("TEST_BARE"):
    from zdlife import Lifecycle
    from zdlife.wsgi import LifecycleMiddleware

    life = Lifecycle()
    hooks(life)
    app = LifecycleMiddleware(bare, life)
