"""The shop keeps one contract under both frameworks and in both releases, with zdlife around it and without."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from zdlife.rehearsal import plan

SHOP = Path(__file__).parents[2] / "examples" / "shop"
FIRST, SECOND = "2026.11.1", "2026.11.2"
BASKET = {"id": "b-1", "lines": {"tea": 2, "quince": 1}}


@dataclass(frozen=True)
class Answer:
    """What both clients' responses have in common."""

    status: int
    text: str
    json: Callable[[], Any]


class Visitor:
    """A client of one application, whichever interface it has."""

    def __init__(self, target: Any, interface: str) -> None:
        self._target = target
        self._interface = interface

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def post(self, path: str, value: Any) -> Answer:
        return self.send("POST", path, json=value)

    def send(self, method: str, path: str, **rest: Any) -> Answer:
        if self._interface == "asgi":
            return asyncio.run(self._send_async(method, path, **rest))
        with httpx.Client(transport=httpx.WSGITransport(self._target), base_url="http://shop") as client:
            return _answer(client.request(method, path, **rest))

    async def _send_async(self, method: str, path: str, **rest: Any) -> Answer:
        transport = httpx.ASGITransport(self._target)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return _answer(await client.request(method, path, **rest))


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.text, response.json)


@contextmanager
def imported(release: str, name: str) -> Iterator[Any]:
    """Import a module of the shop as a process of this release would, and forget it afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZDLIFE_VERSION", release)
        patch.syspath_prepend(str(SHOP))
        try:
            yield importlib.import_module(name)
        finally:
            for module in [module for module in sys.modules if module.split(".")[0] == "shop"]:
                del sys.modules[module]


MODULES = {"fastapi": ("shop.fastapi_app", "asgi"), "flask": ("shop.flask_app", "wsgi")}


@pytest.fixture(params=[FIRST, SECOND])
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=list(MODULES))
def framework(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    pytest.importorskip(name)
    return name


@pytest.fixture
def module(framework: str, release: str) -> Iterator[Any]:
    with imported(release, MODULES[framework][0]) as found:
        yield found


@pytest.fixture
def visitor(module: Any, framework: str) -> Visitor:
    return Visitor(module.bare, MODULES[framework][1])


@pytest.fixture
def other_visitor(framework: str, release: str, visitor: Visitor) -> Iterator[Visitor]:
    """A visitor of the other release's instance, which serves at the same time."""
    name, interface = MODULES[framework]
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "shop"}
    with imported(FIRST if release == SECOND else SECOND, name) as other:
        yield Visitor(other.bare, interface)
    sys.modules.update(ours)


def test_the_page_shows_which_release_it_is(visitor: Visitor, release: str) -> None:
    page = visitor.get("/")
    assert page.status == 200
    assert f"release {release}" in page.text
    assert ("Quince jelly" in page.text) == (release == SECOND)


def test_the_two_releases_differ_in_colour_and_greeting(visitor: Visitor, other_visitor: Visitor) -> None:
    ours, theirs = visitor.get("/api/catalogue").json(), other_visitor.get("/api/catalogue").json()
    assert all(ours[name] != theirs[name] for name in ("release", "accent", "greeting"))


def test_the_new_release_only_adds_fields_to_the_catalogue() -> None:
    with imported(FIRST, "shop.domain") as domain:
        old, new = domain.Shop(FIRST).catalogue(), domain.Shop(SECOND).catalogue()
    assert old.keys() <= new.keys()
    for before, after in zip(old["items"], new["items"], strict=False):
        assert before.items() <= after.items()


def test_a_basket_is_priced_the_same_however_often_it_is_sent(visitor: Visitor) -> None:
    first, second = visitor.post("/api/basket", BASKET), visitor.post("/api/basket", BASKET)
    assert first.status == 200
    assert first.json() == second.json()


def test_the_answer_to_a_basket_is_a_basket_for_the_other_release(visitor: Visitor, other_visitor: Visitor) -> None:
    there = visitor.post("/api/basket", BASKET).json()
    back = other_visitor.post("/api/basket", there).json()
    again = visitor.post("/api/basket", back).json()
    assert again == there
    assert back["lines"] == BASKET["lines"]


def test_an_item_this_release_does_not_sell_is_named_and_not_charged(visitor: Visitor, release: str) -> None:
    priced = visitor.post("/api/basket", BASKET).json()
    assert (priced["unavailable"], priced["total"]) == ((["quince"], "€8.40") if release == FIRST else ([], "€13.80"))


def test_a_checkout_sent_twice_is_one_order_in_either_release(visitor: Visitor, other_visitor: Visitor) -> None:
    once = visitor.post("/api/checkout", BASKET)
    again = other_visitor.post("/api/checkout", BASKET)
    assert once.status == again.status == 200
    assert once.json()["order"] == again.json()["order"]


@pytest.mark.parametrize(
    "basket",
    [{}, {"id": ""}, {"id": "b", "lines": {"tea": 0}}, {"id": "b", "lines": ["tea"]}, "tea"],
    ids=["no id", "empty id", "none of an item", "no lines", "no basket"],
)
def test_a_basket_that_is_none_is_refused_with_the_reason(visitor: Visitor, basket: Any) -> None:
    refusal = visitor.post("/api/basket", basket)
    assert refusal.status == 422
    assert refusal.json()["detail"]


def test_the_export_ends_with_a_line_that_says_so(visitor: Visitor) -> None:
    export = visitor.get("/api/export?interval=0")
    first, *rest = export.text.splitlines()
    assert first == "day,sku,sold,total_cents"
    assert rest[-1] == "# end"


@pytest.mark.parametrize("interval", ["-1", "1.5", "soon"])
def test_an_export_cannot_be_made_to_last(visitor: Visitor, interval: str) -> None:
    assert visitor.get(f"/api/export?interval={interval}").status == 422


def test_an_upload_is_read_to_its_end(visitor: Visitor) -> None:
    body = b"jar" * 100_000
    slip = visitor.send("PUT", "/api/upload", content=body).json()
    assert (slip["size_bytes"], slip["sha256"]) == (len(body), sha256(body).hexdigest())


def test_both_frameworks_answer_with_the_same_values(release: str) -> None:
    def answers(framework: str) -> list[Any]:
        name, interface = MODULES[framework]
        with imported(release, name) as found:
            visitor = Visitor(found.bare, interface)
            return [
                visitor.get("/").text,
                visitor.get("/api/catalogue").json(),
                visitor.post("/api/basket", BASKET).json(),
                visitor.get("/api/export?interval=0").text,
                visitor.send("PUT", "/api/upload", content=b"jam").json(),
            ]

    assert answers("fastapi") == answers("flask")


def test_the_socket_quotes_the_price_of_what_is_asked(release: str) -> None:
    testclient = pytest.importorskip("starlette.testclient")
    with (
        imported(release, "shop.fastapi_app") as found,
        testclient.TestClient(found.bare).websocket_connect("/ws") as socket,
    ):
        socket.send_text("tea")
        assert socket.receive_json() == {"release": release, "asked": "tea", "price": "€4.20"}
        socket.send_text("a llama")
        assert socket.receive_json() == {"release": release, "asked": "a llama", "price": None}


def test_zdlife_stands_in_front_of_the_very_same_application(module: Any) -> None:
    assert module.app.app is module.bare
    assert module.app.lifecycle is module.life


def test_the_plan_names_applications_and_paths_that_exist(framework: str) -> None:
    found = plan.read(SHOP / "rehearsal.toml")
    name, interface = MODULES[framework]
    targets: Mapping[str, str | None] = found.app.model_dump()
    assert (targets[interface], targets[f"bare_{interface}"]) == (f"{name}:app", f"{name}:bare")
    with imported(found.releases.new.version, name) as shop:
        visitor = Visitor(shop.bare, interface)
        for request in found.load.requests:
            method = request.method or ("POST" if request.kind == "post" else "GET")
            answer = visitor.send(method, request.path, json=request.json_body)
            assert answer.status == request.status
            assert (request.contains or "") in answer.text
        assert found.load.stream is not None
        assert visitor.get(f"{found.load.stream.path}?interval=0").text.endswith(f"{found.load.stream.ends_with}\n")
        assert found.load.upload is not None
        body = bytes(found.load.upload.size_bytes)
        slip = visitor.send(found.load.upload.method, found.load.upload.path, content=body)
        assert (found.load.upload.contains or "") in slip.text
    assert {found.releases.old.version, found.releases.new.version} == {FIRST, SECOND}
