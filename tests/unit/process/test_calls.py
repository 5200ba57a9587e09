"""Calling what may hang, raise anything or never return, without being held up by it."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from support import eventually
from zdlife.errors import CheckFailed
from zdlife.process.calls import Call, Caller, InLoop, InThread, PrivateLoop, is_async, why


@pytest.fixture(params=["thread", "loop"])
def caller_of(request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop) -> Callable[[Callable[[], Any]], Caller]:
    """Return what calls a function, given as a `def`, in a thread or as a coroutine in a loop."""

    def make(function: Callable[[], Any]) -> Caller:
        if request.param == "thread":
            return InThread(function, name="test", wake=lambda: None)

        async def in_loop() -> Any:
            return function()

        return InLoop(in_loop, loop_of=lambda: loop, wake=lambda: None)

    return make


def ended(call: Call) -> Call:
    eventually(lambda: call.ended_at is not None, why="the call ends")
    return call


def test_a_call_ends_with_what_the_function_returns(caller_of: Any) -> None:
    call = ended(caller_of(lambda: 7).begin())

    assert (call.value, call.error) == (7, None)
    assert call.ended_at is not None
    assert call.ended_at >= call.began_at


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), RecursionError("deep")])
def test_a_call_ends_with_whatever_the_function_raises(caller_of: Any, error: BaseException) -> None:
    def fails() -> None:
        raise error

    caller = caller_of(fails)

    assert ended(caller.begin()).error is error
    assert ended(caller.begin()).error is error, "and the next call is made all the same"


def test_whoever_waits_is_woken_when_a_call_ends() -> None:
    woken = threading.Event()
    InThread(lambda: None, name="test", wake=woken.set).begin()

    assert woken.wait(5)


def test_one_thread_is_kept_from_call_to_call() -> None:
    caller = InThread(threading.get_ident, name="test", wake=lambda: None)

    assert ended(caller.begin()).value == ended(caller.begin()).value


def test_an_abandoned_call_is_counted_until_it_returns_and_the_next_has_a_thread_of_its_own() -> None:
    go_on = threading.Event()
    caller = InThread(lambda: go_on.wait(30), name="hung", wake=lambda: None)
    first = caller.begin()
    caller.abandon(first)
    second = caller.begin()

    assert caller.out == 1
    go_on.set()
    ended(first)
    ended(second)
    assert caller.out == 0
    caller.abandon(caller.begin())
    eventually(lambda: not any(thread.name == "zdlife-hung" for thread in threading.enumerate()))


def test_an_abandoned_coroutine_is_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    begun = threading.Event()

    async def hangs() -> None:
        begun.set()
        await asyncio.Event().wait()

    caller = InLoop(hangs, loop_of=lambda: loop, wake=lambda: None)
    call = caller.begin()
    assert begun.wait(5)
    caller.abandon(call)

    assert isinstance(ended(call).error, asyncio.CancelledError)
    assert caller.out == 0


def test_a_coroutine_that_does_not_let_itself_be_cancelled_is_out(loop: asyncio.AbstractEventLoop) -> None:
    begun, go_on = threading.Event(), asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    caller = InLoop(stubborn, loop_of=lambda: loop, wake=lambda: None)
    call = caller.begin()
    assert begun.wait(5)
    caller.abandon(call)
    assert caller.out == 1

    loop.call_soon_threadsafe(go_on.set)
    ended(call)
    assert caller.out == 0


def test_one_that_is_abandoned_before_it_began_never_begins(loop: asyncio.AbstractEventLoop) -> None:
    held, go_on = threading.Event(), threading.Event()
    called: list[int] = []

    def hold() -> None:
        held.set()
        go_on.wait(30)

    async def function() -> None:
        called.append(1)

    loop.call_soon_threadsafe(hold)
    assert held.wait(5)
    caller = InLoop(function, loop_of=lambda: loop, wake=lambda: None)
    call = caller.begin()
    caller.abandon(call)
    go_on.set()

    ended(call)
    assert called == []


def test_in_a_loop_that_has_closed_a_call_ends_at_once() -> None:
    closed = asyncio.new_event_loop()
    closed.close()

    async def function() -> None:
        """Never called."""

    caller = InLoop(function, loop_of=lambda: closed, wake=lambda: None)
    call = caller.begin()

    assert isinstance(call.error, RuntimeError)
    caller.abandon(Call())
    assert caller.out == 0


def test_the_private_loop_is_one() -> None:
    private = PrivateLoop()
    private.stop()  # There is none yet.
    found = private.get()

    assert private.get() is found
    private.stop()
    eventually(found.is_closed)
    private.stop()


class Awaited:
    async def __call__(self) -> None:
        """Be awaited."""


async def coroutine() -> None:
    """Be awaited."""


@pytest.mark.parametrize(
    ("function", "awaited"),
    [
        (coroutine, True),
        (functools.partial(functools.partial(coroutine)), True),
        (Awaited(), True),
        (lambda: None, False),
        (functools.partial(int, "3"), False),
        (len, False),
    ],
)
def test_it_is_known_what_is_to_be_awaited(function: Any, awaited: bool) -> None:
    assert is_async(function) is awaited


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (ValueError(), "ValueError"),
        (CheckFailed("connection refused by db:5432"), "connection refused by db:5432"),
        (OSError("cannot reach redis://user:s3cret@cache:6379/0"), "OSError: cannot reach redis://…@cache:6379/0"),
        (ValueError("bad dsn host=db password='a b' port=1"), "ValueError: bad dsn host=db password=… port=1"),
        (ValueError("x" * 500), "ValueError: " + "x" * 187 + "…"),
    ],
)
def test_an_exception_is_one_short_line(error: BaseException, says: str) -> None:
    assert why(error) == says
