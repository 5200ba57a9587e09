"""What the tests of this room share: one private loop, in which async functions are called."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from support import eventually
from zdlife.process.calls import PrivateLoop


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own, and has ended when the last test of the module has."""
    private = PrivateLoop()
    found = private.get()
    yield found
    private.stop()
    eventually(found.is_closed)
