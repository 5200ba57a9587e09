"""The witness writes down what the application did, and changes nothing of it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.ledger import Told, read
from zdlife.rehearsal.witness import Ledger, WitnessASGI, WitnessWSGI, load

CLOCK = Clock()
HEADERS = [(b"host", b"x"), (b"x-rehearsal-id", b"000007")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop-old-1.ledger"


def told(file: Path) -> Told | None:
    """Return what the ledger says, but for which process it was."""
    found = read({"shop-old-1": file}, CLOCK).get("000007")
    return found and replace(found, beginnings=[])


async def silent() -> dict[str, Any]:
    return {"type": "http.request"}


class Sent(list[dict[str, Any]]):
    async def __call__(self, message: dict[str, Any]) -> None:
        self.append(message)


def call_asgi(app: Any, file: Path, *, scope: dict[str, Any] | None = None) -> Sent:
    sent = Sent()
    witness = WitnessASGI(app, Ledger(str(file)))
    asyncio.run(witness(scope or {"type": "http", "headers": HEADERS}, silent, sent))
    return sent


async def whole(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 201})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})


def test_an_asgi_request_is_begun_and_done_once(file: Path) -> None:
    sent = call_asgi(whole, file)
    assert [message.get("body") for message in sent] == [None, b"a", b"b"]
    assert told(file) == Told(begun=1, done=1, status=201, instance="shop-old-1")


def test_an_asgi_request_that_breaks_off_is_not_done(file: Path) -> None:
    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        call_asgi(half, file)
    assert told(file) == Told(begun=1, done=0, status=None, instance="shop-old-1")


def test_a_file_that_the_server_sends_is_done(file: Path) -> None:
    async def pathsend(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.pathsend", "path": "/x"})

    call_asgi(pathsend, file)
    assert told(file) == Told(begun=1, done=1, status=200, instance="shop-old-1")


@pytest.mark.parametrize(
    "scope", [{"type": "lifespan"}, {"type": "websocket", "headers": HEADERS}, {"type": "http", "headers": []}]
)
def test_what_is_no_request_of_the_rehearsal_reaches_the_app_untouched(file: Path, scope: dict[str, Any]) -> None:
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    sent = call_asgi(app, file, scope=scope)
    assert seen == [scope, silent, sent]
    assert told(file) is None


class Body:
    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Any:
        yield b"a"
        yield b"b"

    def close(self) -> None:
        self.closed = True


def call_wsgi(app: Any, file: Path, **environ: Any) -> Iterable[bytes]:
    witness = WitnessWSGI(app, Ledger(str(file)))
    return witness({"HTTP_X_REHEARSAL_ID": "000007", **environ}, lambda *_: lambda _: None)


def answering(body: Any) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("201 Created", [])
        return body

    return app


def test_a_wsgi_request_is_done_when_its_body_has_been_read_to_the_end(file: Path) -> None:
    response = iter(call_wsgi(answering(Body()), file))
    assert (next(response), told(file)) == (b"a", Told(begun=1, instance="shop-old-1"))
    assert [*response] == [b"b"]
    assert told(file) == Told(begun=1, done=1, status=201, instance="shop-old-1")


def test_closing_reaches_the_applications_own_body(file: Path) -> None:
    body = Body()
    call_wsgi(answering(body), file).close()  # type: ignore[attr-defined]
    assert body.closed
    assert told(file) == Told(begun=1, instance="shop-old-1")


def test_a_body_without_close_can_be_closed(file: Path) -> None:
    call_wsgi(answering([b"a"]), file).close()  # type: ignore[attr-defined]


def test_a_servers_own_file_wrapper_stays_what_it_is(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_bytes(b"page")
    wrapped = FileWrapper(page.open("rb"))
    response = call_wsgi(answering(wrapped), file, **{"wsgi.file_wrapper": FileWrapper})
    assert response is wrapped
    assert told(file) == Told(begun=1, instance="shop-old-1")
    wrapped.close()
    assert told(file) == Told(begun=1, done=1, status=201, instance="shop-old-1")
    assert wrapped.filelike.closed


def test_a_file_that_is_closed_on_the_way_out_of_an_error_is_not_done(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_bytes(b"page")
    wrapped = FileWrapper(page.open("rb"))
    call_wsgi(answering(wrapped), file, **{"wsgi.file_wrapper": FileWrapper})
    with pytest.raises(BrokenPipeError), closing(wrapped):
        raise BrokenPipeError
    assert told(file) == Told(begun=1, instance="shop-old-1")


def test_a_wsgi_request_without_an_id_is_not_wrapped(file: Path) -> None:
    body = [b"a"]
    witness = WitnessWSGI(answering(body), Ledger(str(file)))
    assert witness({}, lambda *_: lambda _: None) is body


def test_lines_of_many_threads_and_processes_stay_whole(file: Path) -> None:
    ledger = Ledger(str(file))

    def write(first: int) -> None:
        for number in range(first, first + 200):
            ledger.begun(f"{number:06d}")
            ledger.done(f"{number:06d}", 200)

    child = os.fork()
    if child == 0:
        write(90_000)
        os._exit(0)
    threads = [threading.Thread(target=write, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.waitpid(child, 0)[1] == 0
    entries = read({"shop-old-1": file}, CLOCK)
    assert len(entries) == 1000
    assert all(entry.begun == entry.done == 1 for entry in entries.values())
    assert {entry.beginnings[0].pid for entry in entries.values()} == {os.getpid(), child}


def test_a_target_may_be_an_attribute_of_an_attribute() -> None:
    assert load("os:path.join") is os.path.join
