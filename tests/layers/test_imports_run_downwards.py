"""The contracts of `[tool.importlinter]` in pyproject.toml hold, and would be seen not to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


CHECK = """
import sys
sys.path.insert(0, sys.argv[1])
from importlinter.cli import lint_imports
sys.exit(lint_imports(no_cache=True))
"""


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the tree at `tree`, in a process of its own that finds zdlife there."""
    command = [sys.executable, "-c", CHECK, str(tree / "src")]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the tree, to spoil."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_holds() -> None:
    checked = lint_imports(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        pytest.param("machine/phases.py", "import zdlife.lifecycle", "Imports run downwards only", id="upwards"),
        pytest.param("machine/settle.py", "import time", "The pure rooms have no clock", id="clock-in-machine"),
        pytest.param("errors.py", "import logging", "The pure rooms have no clock", id="log-below-machine"),
        pytest.param("lifecycle.py", "from starlette.requests import Request", "no framework", id="framework"),
        pytest.param("process/signals.py", "import uvicorn.server", "A server is known", id="server"),
        pytest.param("asgi.py", "from opentelemetry import trace", "OpenTelemetry is known", id="opentelemetry"),
        pytest.param("settings.py", "import redis.asyncio", "Redis is known", id="redis"),
    ],
)
def test_an_import_that_breaks_a_contract_is_seen(tree: Path, module: str, line: str, contract: str) -> None:
    path = tree / "src" / "zdlife" / module
    path.write_text(
        path.read_text().replace(
            "from __future__ import annotations\n", f"from __future__ import annotations\n{line}\n", 1
        )
    )
    checked = lint_imports(tree)
    assert checked.returncode == 1
    broken = [row for row in checked.stdout.splitlines() if row.endswith("BROKEN")]
    assert any(contract in row for row in broken), checked.stdout
