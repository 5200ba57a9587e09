"""The shop as a FastAPI application: `bare` as it is, `app` ready to be replaced without a customer noticing.

Run it with `uvicorn shop.fastapi_app:app`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, Query, Request, WebSocket
from fastapi.responses import HTMLResponse, StreamingResponse

from shop.domain import CHECKOUT_SECONDS, Answer, Basket, Pace, Shop
from shop.page import render
from zdlife import Lifecycle
from zdlife.asgi import LifecycleMiddleware

life = Lifecycle()
shop = Shop(life.release.version)
bare = FastAPI(title="The Corner Shop", version=shop.release)
app = LifecycleMiddleware(bare, life)


@bare.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(render(shop))


@bare.get("/api/catalogue")
async def catalogue() -> Answer:
    return shop.catalogue()


@bare.post("/api/basket")
async def basket(sent: Basket) -> Answer:
    return shop.price(sent)


@bare.post("/api/checkout")
async def checkout(sent: Basket) -> Answer:
    await asyncio.sleep(CHECKOUT_SECONDS)
    return shop.receipt(sent)


@bare.get("/api/export")
async def export(pace: Annotated[Pace, Query()]) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for line in shop.export():
            yield line
            await asyncio.sleep(pace.interval)

    return StreamingResponse(lines(), media_type="text/csv")


@bare.put("/api/upload")
async def upload(request: Request) -> Answer:
    delivery = shop.delivery()
    async for piece in request.stream():
        delivery.add(piece)
    return delivery.slip()


@bare.websocket("/ws")
async def quotes(socket: WebSocket) -> None:
    await socket.accept()
    async for question in socket.iter_text():
        await socket.send_json(shop.quote(question))
