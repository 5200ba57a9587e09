"""Applications that depend on something and have to warm up: `wsgi`, `asgi`, and `cold`, which has no lifespan.

What the dependency does is in the file `dependency` of the test's folder, by default `up`: `down` raises, `hang` never
returns, `slow` takes a second, `garbage` returns what says nothing, `exit` raises SystemExit, `recurse` recurses
for ever, `block` keeps the interpreter for a second or so, `leak` leaves a thread behind. Each call leaves the mark
`call`. `TEST_WARM` is how many seconds the warmer takes; it leaves the marks `warming` and `warm`.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from urllib.parse import parse_qs

from plain import FOLDER, mark, wait_at

from zdlife import Lifecycle
from zdlife.asgi import LifecycleMiddleware as AroundASGI
from zdlife.wsgi import LifecycleMiddleware as AroundWSGI

if (FOLDER / "broken").exists():
    raise RuntimeError("this release does not start")
life = Lifecycle()
KIND = os.environ.get("TEST_KIND", "required")
INTERVAL = float(os.environ.get("TEST_INTERVAL", "0.5"))
WARM = float(os.environ.get("TEST_WARM", "0"))
is_warm = threading.Event()


def behaviour():
    path = FOLDER / "dependency"
    return path.read_text().strip() if path.exists() else "up"


def recurse():
    return recurse()


@life.check("dependency", kind=KIND, interval=INTERVAL, timeout=INTERVAL)
def dependency():
    mark("call")
    match behaviour():
        case "down":
            raise ConnectionRefusedError("the dependency refuses")
        case "hang":
            while behaviour() == "hang":
                time.sleep(0.01)
        case "slow":
            time.sleep(1)
        case "garbage":
            return b"\x00garbage"
        case "exit":
            raise SystemExit(3)
        case "recurse":
            return recurse()
        case "block":
            re.match(r"(a+)+$", "a" * 23 + "b")
        case "leak":
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    return None


@life.check("by-the-way", kind="degrades", interval=INTERVAL, timeout=INTERVAL)
async def by_the_way():
    if behaviour() == "async-exit":
        raise SystemExit(3)
    if behaviour() == "async-hang":
        await asyncio.sleep(3600)
    if behaviour() == "async-down":
        raise ConnectionRefusedError("by the way")


for name, kind in (("shared", "shared"), ("own", "required")):
    if url := os.environ.get(f"TEST_{name.upper()}_REDIS"):
        import redis

        from zdlife.checks.redis import redis as ping

        client = redis.Redis.from_url(url, socket_timeout=0.5)
        life.check(f"{name}-redis", kind=kind, interval=0.5, timeout=0.5)(ping(client))


if WARM:

    @life.warm("prices", deadline=30)
    def prices(warm):
        mark("warming")
        until = time.monotonic() + WARM
        while (left := until - time.monotonic()) > 0:
            warm.advance(round(WARM - left, 1), WARM)
            time.sleep(0.02)
        is_warm.set()
        mark("warm")


def answer(path, query):
    mark("warm-request" if is_warm.is_set() or not WARM else "cold-request")
    gate = parse_qs(query).get("gate", [""])[0]
    if path == "/block":
        wait_at(gate)
    if path == "/burn":
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            pass
    return str(os.getpid()).encode()


def plain_wsgi(environ, start_response):
    body = answer(environ["PATH_INFO"], environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def plain_asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = answer(scope["path"], scope["query_string"].decode())
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def without_a_lifespan(scope, receive, send):
    assert scope["type"] == "http"
    await plain_asgi(scope, receive, send)


wsgi = AroundWSGI(plain_wsgi, life)
asgi = AroundASGI(plain_asgi, life)
cold = AroundASGI(without_a_lifespan, life)
