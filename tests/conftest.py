"""What holds for every test."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the settings of whoever runs the tests. ZDLIFE_REQUIRE_ALL is none: it is for the tests."""
    for name in os.environ:
        if name.startswith("ZDLIFE_") and name != "ZDLIFE_REQUIRE_ALL":
            monkeypatch.delenv(name)
