"""Real components that may be missing: a test that needs one skips and says why, or fails where all are required."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

SYSTEM_PATHS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps haproxy and nginx, which is not on every user's PATH."""

RELEASES = Path(__file__).resolve().parents[2] / ".nox" / "releases"
FETCHED_WITHIN = 60.0


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


def require_root(why: str) -> None:
    """End the test where this is not root, which `why` says it needs."""
    if os.geteuid() != 0:
        _do_without(why)


def require_release(requirement: str) -> Path:
    """Return a folder with this release of one package, without what it needs, from pip's own index; or end the test.

    What was fetched once is kept below the tree, where nox keeps its environments.
    """
    kept = RELEASES / requirement
    if not kept.is_dir():
        RELEASES.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=RELEASES) as made:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            try:
                subprocess.run(
                    [*pip, "--target", f"{made}/all", requirement],
                    check=True,
                    capture_output=True,
                    text=True,
                    timeout=FETCHED_WITHIN,
                )
            except subprocess.CalledProcessError as error:
                _do_without(f"{requirement} cannot be fetched: {error.stderr.strip().splitlines()[-1:]}")
            except subprocess.TimeoutExpired:
                _do_without(f"{requirement} cannot be fetched in {FETCHED_WITHIN:g} s")
            try:
                Path(made, "all").rename(kept)
            except OSError:  # Another process was quicker.
                assert kept.is_dir()
    return kept


def _do_without(why: str) -> NoReturn:
    if os.environ.get("ZDLIFE_REQUIRE_ALL") == "1":
        pytest.fail(f"{why}, and ZDLIFE_REQUIRE_ALL=1 demands it", pytrace=False)
    pytest.skip(why)
