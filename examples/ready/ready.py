"""A service that says when it can serve, as an ASGI and as a WSGI application; neither needs a framework.

uvicorn ready:asgi
gunicorn -c python:zdlife.gunicorn ready:wsgi

What it depends on are a search engine beside it, on port 8101, and a database that all instances share, on port 8102.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zdlife.asgi
import zdlife.wsgi
from zdlife import Lifecycle, Warm
from zdlife.checks import Caution
from zdlife.checks.tcp import tcp

life = Lifecycle()

SEARCH = int(os.environ.get("SEARCH_PORT", "8101"))
ORDERS = int(os.environ.get("ORDERS_PORT", "8102"))
SPOOL = Path(tempfile.gettempdir(), "ready-spool")
PRICE_LIST = Path(tempfile.gettempdir(), "ready-prices.txt")
ARTICLES = range(200)
POPULAR = range(20)
prices: dict[int, str] = {}

# A ready-made check. Nothing said of its kind: it is required.
life.check("search", timeout=0.5, interval=1)(tcp("127.0.0.1", SEARCH))


@life.check("orders-db", kind="shared", timeout=0.5, interval=1)
async def orders_db() -> None:
    """Pass if the database answers; what it raises is why it does not."""
    _, writer = await asyncio.open_connection("127.0.0.1", ORDERS)
    writer.close()
    await writer.wait_closed()


@life.check("spool", kind="degrades", interval=10)
def spool() -> Caution | None:
    """Pass, with a caution if orders pile up that nobody fetches."""
    waiting = len(list(SPOOL.glob("*.order")))
    return Caution(f"{waiting} orders wait in the spool") if waiting > 100 else None


@life.warm("price list", order=-1, per="instance", deadline=60, on_deadline="unready")
def price_list(warm: Warm) -> None:
    """Fetch the price list once for all workers; nobody ever sees half of it."""
    fresh = PRICE_LIST.with_name(f"{PRICE_LIST.name}.{os.getpid()}")
    with fresh.open("w") as file:
        for article in ARTICLES:
            time.sleep(0.005)  # Stands for what takes its time in a real service.
            file.write(f"{article} {article + 0.95:.2f}\n")
            warm.advance(article + 1, len(ARTICLES))
    fresh.rename(PRICE_LIST)


@life.warm("prices", deadline=20)
def load_prices() -> None:
    """Fill the cache of this worker."""
    for line in PRICE_LIST.read_text().splitlines():
        article, price = line.split()
        prices[int(article)] = price


def hits() -> tuple[int, int]:
    """Return how many of the popular articles are in the cache, of how many."""
    return sum(article in prices for article in POPULAR), len(POPULAR)


life.cache_warmth("popular", sample=hits, minimum=0.8, deadline=30)


def answer(path: str) -> bytes:
    """Return the price of the article that a path such as /7 names."""
    return f"{prices.get(int(path.strip('/') or 0), 'unknown')}\n".encode()


async def shop_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Tell a price over ASGI. With its lifespan, a worker that replaces another can be waited for."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": answer(scope["path"])})


def shop_wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Tell a price over WSGI."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer(environ["PATH_INFO"])]


asgi = zdlife.asgi.LifecycleMiddleware(shop_asgi, life)
wsgi = zdlife.wsgi.LifecycleMiddleware(shop_wsgi, life)
