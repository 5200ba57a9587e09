"""What is being served, since when; and what to call it when it blocks the drain."""

from __future__ import annotations

import sys
import threading
import traceback
from asyncio import Task, current_task
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from zdlife.process.seat import Seat

Kind = Literal["request", "websocket", "work"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of work in flight: what it is, how old, and where its code stands."""

    kind: Kind
    id: str | None
    method: str | None
    route: str
    age: float
    stack: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as the shutdown report has it; the age in seconds."""
        return {
            "kind": self.kind,
            "id": self.id,
            "method": self.method,
            "route": self.route,
            "age": round(self.age, 3),
            "stack": list(self.stack),
        }


class InFlight:
    """Counts what has begun and not ended, for one process.

    `begin` and `end` are safe from any thread and any task and take no lock: a piece is one entry of a dict under a
    number never used twice. Their cost does not depend on how much is in flight.

    `begun` is how many requests ever began, `last_arrival` the monotonic time of the last of them, or None; background
    work is neither.
    """

    __slots__ = ("_entries", "_header", "_requests", "_seat", "_tokens", "begun", "last_arrival")

    def __init__(self, *, request_id_header: str = "x-request-id") -> None:
        self._entries: dict[int, tuple[float, Kind, Any, Any]] = {}
        self._tokens = count(1)
        self._requests = count(1)
        self._header = request_id_header.lower()
        self._seat: Seat | None = None
        self.begun = 0
        self.last_arrival: float | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def sit(self, seat: Seat | None) -> None:
        """Tell `seat` of the instance's board from now on, so that siblings know what this process holds."""
        self._seat = seat

    def begin(self, kind: Kind, subject: Any, runner: Any = None) -> int:
        """Count one more piece and return the token that ends it.

        `subject` is the ASGI scope, the WSGI environ, or the name of a piece of background work; it is looked into only
        when somebody asks what is in flight. `runner` is the asyncio task, the thread or its identifier that does it.
        """
        token = next(self._tokens)
        now = monotonic()
        self._entries[token] = (now, kind, subject, runner)
        if kind != "work":
            self.begun = next(self._requests)
            self.last_arrival = now
        seat = self._seat
        if seat is not None:
            seat.begin(token, now, self.begun, len(self._entries), subject, kind)
        return token

    def end(self, token: int) -> None:
        """Count the piece out. A token that ended already is left alone."""
        seat = self._seat  # It may be given back at any moment.
        if self._entries.pop(token, None) is not None and seat is not None:
            seat.end(token, len(self._entries))

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """Hold one named piece of background work in flight for the length of the block."""
        token = self.begin("work", str(name), _runner())
        try:
            yield
        finally:
            self.end(token)

    def pieces(self, now: float, *, stacks: bool = False) -> list[Piece]:
        """Return what is in flight, oldest first, with the innermost frames of each if `stacks` is set."""
        frames = sys._current_frames() if stacks else {}
        found: list[Piece] = []
        for began, kind, subject, runner in sorted(self._entries.copy().values(), key=lambda entry: entry[0]):
            method, route, name = describe(subject, self._header)
            stack = _stack(runner, frames) if stacks else ()
            found.append(Piece(kind, name, method, route, now - began, stack))
        return found


def _runner() -> Any:
    """Return the running task, or the thread where there is none."""
    try:
        return current_task()
    except RuntimeError:
        return threading.get_ident()


def describe(subject: Any, header: str) -> tuple[str | None, str, str | None]:
    """Return method, route and request id of a scope or an environ; of background work its name as the route."""
    if isinstance(subject, str):
        return None, subject, None
    if "wsgi.version" in subject:
        key = "HTTP_" + header.upper().replace("-", "_")
        return subject.get("REQUEST_METHOD"), subject.get("PATH_INFO", ""), subject.get(key)
    wanted = header.encode("latin-1")
    name = next((value.decode("latin-1") for key, value in subject.get("headers", ()) if key.lower() == wanted), None)
    return subject.get("method"), _template(subject) or subject.get("path", ""), name


def _template(scope: Mapping[str, Any]) -> str | None:
    route = scope.get("route")
    found = getattr(route, "path", None)
    return found if isinstance(found, str) else None


def _stack(runner: Any, frames: Mapping[int, Any]) -> tuple[str, ...]:
    """Return the frames of a task or a thread, innermost last, as file:line function."""
    if isinstance(runner, threading.Thread):
        runner = runner.ident
    frame = _frame_that_runs(runner, frames) if isinstance(runner, Task) else frames.get(runner)
    if frame is not None:
        return tuple(f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_stack(frame)[-12:])
    return _task_stack(runner) if isinstance(runner, Task) else ()


def _frame_that_runs(task: Task[Any], frames: Mapping[int, Any]) -> Any:
    """Return the innermost frame of the thread that runs `task` at this moment: one that blocks its loop. Else None."""
    outermost = getattr(task.get_coro(), "cr_frame", None)
    for innermost in frames.values():
        frame = innermost
        while frame is not None:
            if frame is outermost:
                return innermost
            frame = frame.f_back
    return None


def _task_stack(task: Task[Any]) -> tuple[str, ...]:
    """Follow the chain of awaits, which `Task.get_stack` does not."""
    found: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(found) < 40:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            code = frame.f_code
            found.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return tuple(found[-12:])
