"""The shop as a Flask application: `bare` as it is, `app` ready to be replaced without a customer noticing.

Run it with `gunicorn -c python:zdlife.gunicorn shop.flask_app:app`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Flask, Response, request
from pydantic import ValidationError

from shop.domain import CHECKOUT_SECONDS, Answer, Basket, Pace, Shop
from shop.page import render
from zdlife import Lifecycle
from zdlife.wsgi import LifecycleMiddleware

life = Lifecycle()
shop = Shop(life.release.version)
bare = Flask(__name__)
app = LifecycleMiddleware(bare, life)


@bare.get("/")
def page() -> str:
    return render(shop)


@bare.get("/api/catalogue")
def catalogue() -> Answer:
    return shop.catalogue()


@bare.post("/api/basket")
def basket() -> Answer:
    return shop.price(Basket.model_validate_json(request.data))


@bare.post("/api/checkout")
def checkout() -> Answer:
    sent = Basket.model_validate_json(request.data)
    time.sleep(CHECKOUT_SECONDS)
    return shop.receipt(sent)


@bare.get("/api/export")
def export() -> Response:
    pace = Pace.model_validate(request.args.to_dict())

    def lines() -> Iterator[str]:
        for line in shop.export():
            yield line
            time.sleep(pace.interval)

    return Response(lines(), mimetype="text/csv")


@bare.put("/api/upload")
def upload() -> Answer:
    delivery = shop.delivery()
    while piece := request.stream.read(65_536):
        delivery.add(piece)
    return delivery.slip()


@bare.errorhandler(ValidationError)
def refuse(error: ValidationError) -> tuple[Answer, int]:
    return {"detail": error.errors(include_url=False, include_context=False)}, 422
