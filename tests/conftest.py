"""What holds for every test."""

from __future__ import annotations

import os
from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)  # It is pytest-xdist's.
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist=loadgroup`, run in one process the tests whose parameters end in the same `@group`.

    xdist's own marker for this has no effect with pytest 9.2: xdist 3.8 says the group in an attribute that is gone.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.rpartition("@")[2] if nodeid.endswith("]") and "@" in nodeid else nodeid

    return Grouped(config, log)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the settings of whoever runs the tests. ZDLIFE_REQUIRE_ALL is none: it is for the tests."""
    for name in os.environ:
        if name.startswith("ZDLIFE_") and name != "ZDLIFE_REQUIRE_ALL":
            monkeypatch.delenv(name)
