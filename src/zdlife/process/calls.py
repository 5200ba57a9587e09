"""Calling a function of the application's that may hang, raise anything or never return, and not being held up by it.

A `def` is called in a daemon thread of its own, an `async def` in the application's event loop, or in a private one
where the application has none. Nobody waits for a call: whoever began it looks whether it has ended.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic
from typing import Any, Final

from zdlife.errors import ZdlifeError

Function = Callable[[], Any]
LONGEST_WHY: Final = 200

_CREDENTIALS = (
    (re.compile(r"//\S*@"), "//…@"),
    (re.compile(r"""(password|passwd|pwd)\s*=\s*('[^']*'|"[^"]*"|[^\s&;,]+)""", re.IGNORECASE), r"\1=…"),
    (re.compile(r"""\sfor\suser\s("[^"]*"|'[^']*'(@'[^']*')?)"""), ""),
)


class Call:
    """One call of a function. `ended_at` is set last, so whoever sees it sees the rest."""

    __slots__ = ("abandoned", "began_at", "ended_at", "error", "task", "value")

    def __init__(self) -> None:
        self.began_at = monotonic()
        self.ended_at: float | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self.abandoned = False
        self.task: asyncio.Task[None] | None = None

    def end(self, value: Any = None, *, error: BaseException | None = None) -> None:
        """Take note of how it ended."""
        self.value, self.error = value, error
        self.ended_at = monotonic()


class Caller(ABC):
    """Calls one function, one call at a time. `begin` and `abandon` belong to one thread; `wake` is called in any.

    A call that is abandoned goes on by itself: `out` counts those that have still not returned.
    """

    def __init__(self, *, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._abandoned: list[Call] = []

    def begin(self) -> Call:
        """Return a call that has begun, or that ended at once because it could not."""
        call = Call()
        try:
            self._start(call)
        except RuntimeError as error:  # No thread can be started, or the loop has closed.
            call.end(error=error)
        return call

    def abandon(self, call: Call) -> None:
        """Wait for this call no longer; an async one is cancelled."""
        call.abandoned = True
        self._abandoned.append(call)
        self._leave(call)

    @property
    def out(self) -> int:
        """How many abandoned calls have not returned."""
        self._abandoned = [call for call in self._abandoned if call.ended_at is None]
        return len(self._abandoned)

    @abstractmethod
    def _start(self, call: Call) -> None:
        """Have the function called; a RuntimeError says that it cannot be."""

    @abstractmethod
    def _leave(self, call: Call) -> None:
        """Let the call go on by itself."""


class InThread(Caller):
    """Calls in one daemon thread, which is kept from call to call: what a function keeps by thread stays open.

    A thread whose call is abandoned ends when that returns, and the next call has a new one.
    """

    def __init__(self, function: Function, *, name: str, wake: Callable[[], None]) -> None:
        super().__init__(wake=wake)
        self._function = function
        self._name = f"zdlife-{name}"
        self._inbox: SimpleQueue[Call | None] | None = None

    def _start(self, call: Call) -> None:
        if self._inbox is None:
            inbox: SimpleQueue[Call | None] = SimpleQueue()
            threading.Thread(target=self._run, args=(inbox,), name=self._name, daemon=True).start()
            self._inbox = inbox
        self._inbox.put(call)

    def _leave(self, call: Call) -> None:
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.put(None)

    def _run(self, inbox: SimpleQueue[Call | None]) -> None:
        while (call := inbox.get()) is not None:
            try:
                call.end(self._function())
            except BaseException as error:  # noqa: BLE001  # SystemExit of a check ends the check, and no more
                call.end(error=error)
            self._wake()


class InLoop(Caller):
    """Calls as a task of the event loop that `loop_of` names at the time."""

    def __init__(
        self, function: Function, *, loop_of: Callable[[], asyncio.AbstractEventLoop], wake: Callable[[], None]
    ) -> None:
        super().__init__(wake=wake)
        self._function = function
        self._loop_of = loop_of
        self._loop: asyncio.AbstractEventLoop | None = None

    def _start(self, call: Call) -> None:
        self._loop = self._loop_of()
        self._loop.call_soon_threadsafe(self._make_task, call)

    def _make_task(self, call: Call) -> None:
        if call.abandoned:
            call.end()
        else:
            call.task = asyncio.ensure_future(self._run(call))

    async def _run(self, call: Call) -> None:
        try:
            call.end(await self._function())
        except BaseException as error:  # SystemExit let out of a task would end the application's loop.
            call.end(error=error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            if call.ended_at is None:
                call.end()
            self._wake()

    def _leave(self, call: Call) -> None:
        def cancel() -> None:
            if call.task is not None:
                call.task.cancel()

        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(cancel)
        except RuntimeError:  # The loop has closed, and with it all that ran there.
            call.end()


class PrivateLoop:
    """An event loop in a daemon thread of its own, made when it is first asked for."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop, running."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run_and_close, args=(self._loop,), name="zdlife-loop", daemon=True).start()
        return self._loop

    def stop(self) -> None:
        """Stop the loop, if there is one, as soon as it comes to it."""
        if self._loop is not None:
            with suppress(RuntimeError):  # It has stopped and closed already.
                self._loop.call_soon_threadsafe(self._loop.stop)


def _run_and_close(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a call of `function` is to be awaited."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def why(error: BaseException) -> str:
    """Return an exception in one short line, without the credentials that clients put into theirs."""
    try:
        text = without_credentials(" ".join(str(error).split()))
    except Exception:  # noqa: BLE001  # One that cannot be printed is still one.
        text = ""
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if text and isinstance(error, ZdlifeError):
        line = text  # It was written to be read as it is.
    return shortened(line)


def shortened(text: str) -> str:
    """Return `text` on one line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_WHY else f"{line[: LONGEST_WHY - 1]}…"


def without_credentials(text: str) -> str:
    """Return `text` without the user and password of a URL or a connection string."""
    for pattern, instead in _CREDENTIALS:
        text = pattern.sub(instead, text)
    return text


def discard(value: Any) -> None:
    """Close a coroutine that nobody awaits, or Python warns of it."""
    close = getattr(value, "close", None)
    if close is not None:
        close()
