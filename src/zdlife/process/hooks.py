"""What an application wants done while it leaves."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from zdlife.process.inflight import InFlight

logger = logging.getLogger("zdlife.hooks")
Hook = Callable[[], Any]


class Hooks:
    """The functions to be called at the beginning of the drain and at its end, in the order they were added.

    A `def` is called in a thread of zdlife's, an `async def` in the application's loop while that runs. What a hook
    raises is logged, and the next one is called.
    """

    def __init__(self) -> None:
        self.on_drain: list[Hook] = []
        self.on_stop: list[Hook] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    def drain(self, inflight: InFlight, *, within: float) -> None:
        """Begin the drain hooks, each in a thread of its own and held in flight: the drain waits for them."""
        for hook in self.on_drain:
            self._hold(hook, inflight, within)

    def _hold(self, hook: Hook, inflight: InFlight, within: float) -> None:
        """Begin one hook; it is in flight before its thread runs, or the drain might end in between."""

        def run() -> None:
            try:
                self._call(hook, within=within)
            finally:
                inflight.end(token)

        thread = threading.Thread(target=run, name="zdlife-drain", daemon=True)
        token = inflight.begin("work", f"drain hook {_name(hook)}", thread)
        thread.start()

    def stop(self, *, within: float, then: Callable[[], None]) -> None:
        """Begin the stop hooks, one after another, `within` seconds for them all; `then` is called after the last."""

        def run() -> None:
            until = monotonic() + within
            for hook in self.on_stop:
                self._call(hook, within=until - monotonic())
            then()

        try:
            threading.Thread(target=run, name="zdlife-stop", daemon=True).start()
        except RuntimeError:  # The interpreter ends and starts no threads; whoever waits has a limit of its own.
            run()

    def _call(self, hook: Hook, *, within: float) -> None:
        try:
            if not inspect.iscoroutinefunction(hook):
                hook()
            elif self.loop is not None and self.loop.is_running():
                asyncio.run_coroutine_threadsafe(hook(), self.loop).result(max(0.0, within))
            else:
                asyncio.run(asyncio.wait_for(hook(), max(0.0, within)))
        except Exception:
            logger.exception("the hook %s raised", _name(hook))


def _name(hook: Hook) -> str:
    return getattr(hook, "__qualname__", str(hook))
