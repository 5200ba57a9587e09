"""What is sent, and what the right answer to it is."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

from zdlife.rehearsal.client import Ask, Lost, Reply
from zdlife.rehearsal.load import Sort, draw, sort_of, stream_of, upload_of
from zdlife.rehearsal.plan import LoadTable, RequestTable, StreamTable, UploadTable
from zdlife.rehearsal.result import Kind, Outcome


def outcome(sort: Sort, status: int, body: bytes) -> Outcome:
    try:
        sort.judge(Reply(status, tail=bytearray(body)))
    except Lost as lost:
        return lost.outcome
    return Outcome.OK


def test_sorts_are_drawn_by_their_weights() -> None:
    load = LoadTable(requests=(RequestTable(path="/often", weight=3), RequestTable(path="/rarely", weight=1)))
    drawn = Counter(sort.ask.path for sort in itertools.islice(draw(load), 4000))
    assert drawn["/often"] == pytest.approx(3000, abs=150)


def test_the_same_seed_draws_the_same() -> None:
    load = LoadTable(requests=(RequestTable(path="/a"), RequestTable(path="/b")))
    first, second = ([sort.ask.path for sort in itertools.islice(draw(load), 50)] for _ in range(2))
    assert first == second


def test_a_post_is_a_post_unless_it_says_otherwise() -> None:
    assert sort_of(RequestTable(kind="post")).ask.method == "POST"
    assert sort_of(RequestTable(kind="post", method="PUT")).ask.method == "PUT"
    assert sort_of(RequestTable(kind="slow")).ask.method == "GET"


def test_a_json_body_says_what_it_is() -> None:
    ask = sort_of(RequestTable(kind="post", json={"tea": 2})).ask
    assert ask.body == b'{"tea": 2}'
    assert ("content-type", "application/json") in ask.headers


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"the basket", Outcome.OK),
        (503, b"the basket", Outcome.WRONG_STATUS),
        (200, b"something else", Outcome.WRONG_STATUS),
    ],
)
def test_an_answer_is_right_by_status_and_content(status: int, body: bytes, expected: Outcome) -> None:
    assert outcome(sort_of(RequestTable(contains="basket")), status, body) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"1\n2\n# end", Outcome.OK),
        (b"1\n2\n# end\n\n", Outcome.OK),
        (b"1\n2\n", Outcome.TRUNCATED),
        (b"# end\n1\n", Outcome.TRUNCATED),
        (b"", Outcome.TRUNCATED),
    ],
)
def test_a_stream_is_whole_when_its_last_line_says_so(body: bytes, expected: Outcome) -> None:
    stream = stream_of(StreamTable(path="/export", ends_with="# end"))
    assert stream.kind is Kind.STREAM
    assert outcome(stream, 200, body) is expected


def test_an_upload_is_sent_in_pieces_of_the_whole_size() -> None:
    ask = upload_of(UploadTable(path="/upload", size_bytes=1000, pieces=7, seconds=0.01)).ask

    async def parts() -> list[bytes]:
        return [part async for part in ask.parts()]

    sent = asyncio.run(parts())
    assert len(sent) == 7
    assert b"".join(sent) == ask.body
    assert len(ask.body) == 1000


def test_a_request_without_a_body_sends_no_part() -> None:
    async def parts() -> list[bytes]:
        return [part async for part in Ask("GET", "/").parts()]

    assert asyncio.run(parts()) == []
