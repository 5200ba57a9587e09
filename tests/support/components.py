"""Real components that may be missing: a test that needs one skips and says why, or fails where all are required."""

from __future__ import annotations

import importlib
import os
import shutil
from types import ModuleType
from typing import NoReturn

import pytest

SYSTEM_PATHS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps haproxy and nginx, which is not on every user's PATH."""


def require_program(name: str) -> str:
    """Return the path of the program `name`, or end the test."""
    found = shutil.which(name) or shutil.which(name, path=SYSTEM_PATHS)
    return found or _do_without(f"{name} is not installed")


def require_module(name: str) -> ModuleType:
    """Return the module `name`, or end the test."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        _do_without(f"{name} cannot be imported: {error}")


def _do_without(why: str) -> NoReturn:
    if os.environ.get("ZDLIFE_REQUIRE_ALL") == "1":
        pytest.fail(f"{why}, and ZDLIFE_REQUIRE_ALL=1 demands it", pytrace=False)
    pytest.skip(why)
