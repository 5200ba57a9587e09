"""What holds for every test of the core."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unit import fakes


@pytest.fixture(autouse=True)
def _every_life_ends_with_its_test() -> Iterator[None]:
    """Stop the monitors of the lives a test began, so that none of them goes on into the next."""
    yield
    while fakes.lives:
        life = fakes.lives.pop()
        if life._monitor is not None:
            life._monitor.stop()
