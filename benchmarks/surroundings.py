"""What every contestant of the middleware benchmark has around it: a Lifecycle that lives, and a request's headers."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from zdlife import Lifecycle, Settings
from zdlife.process.board import Board
from zdlife.servers.alone import Alone

ZDLIFE = {"zdlife": 1, "zdlife, one of several workers": 2}
"""What zdlife is called in the table, and how many workers its instance has."""
HEADERS = {
    "host": "shop.example:8000",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-language": "en-GB,en;q=0.5",
    "accept-encoding": "gzip, deflate, br",
    "connection": "keep-alive",
}


class NoServer(Alone):
    """A host whose signals stay where they are: whoever interrupts the benchmark means it."""

    def take_signals(self, post: Any) -> None:
        pass


def lifecycle(*, workers: int = 1, loop: asyncio.AbstractEventLoop | None = None) -> Lifecycle:
    """Return a ready Lifecycle: of a process that is alone, or of a worker with its seat on the board."""
    life = Lifecycle(Settings(service="benchmark", settle=0, report=Path(os.devnull)))
    if workers == 1:
        life.begin(NoServer(), loop=loop)
    else:
        board = Board.anonymous()
        life.begin(NoServer(), board=board, seat=board.claim(os.getpid()), loop=loop)
    life.loaded()
    return life


def meter_provider() -> Any:
    """Return OpenTelemetry's, with one reader that collects nothing meanwhile."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
