"""Wrong use is one line on stderr and exit code 2, and so is an extra that is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zdlife.cli import outcome
from zdlife.version import __version__

PLAN = """
[app]
asgi = "shop:app"
"""


@pytest.fixture
def plan(tmp_path: Path) -> str:
    """A plan with an ASGI app alone, which is never started here."""
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    return str(file)


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr of a command that ends with exit code 2."""
    assert outcome(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("zdlife: ")
    return said.err


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(["--version"]) == 0
    assert capsys.readouterr().out == f"zdlife {__version__}\n"


def test_no_arguments_say_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome([]) == 0
    assert "rehearse" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--server", "gunicorn-snc"], 'Did you mean "gunicorn-sync"?', id="server"),
        pytest.param(["--balancer", "haprox"], 'Did you mean "haproxy"?', id="balancer"),
        pytest.param(["--srver", "uvicorn"], "--server", id="option"),
        pytest.param(["--rolls", "many"], "--rolls", id="not-a-number"),
        pytest.param(["--rolls", "0"], "--rolls", id="no-rolls"),
        pytest.param(["--rate", "0"], "--rate", id="no-rate"),
        pytest.param(["--server", "gunicorn-sync"], "wsgi", id="no-app-for-the-server"),
        pytest.param(["--report", "/nowhere/at/all.html"], "/nowhere/at/all.html", id="report"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_two(
    plan: str, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert expected in complaint(["rehearse", plan, *arguments], capsys)


def test_a_report_cannot_be_a_folder(plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert str(tmp_path) in complaint(["rehearse", plan, "--report", str(tmp_path)], capsys)


def test_an_unknown_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert "rehearse" in complaint(["reherse"], capsys)


def test_a_plan_that_is_not_there_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no such plan" in complaint(["rehearse", "nowhere.toml"], capsys)


WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None  # what import then raises is what it raises for a package that is not installed
from zdlife.cli import outcome
sys.exit(outcome(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("package", "extra"),
    [
        pytest.param("typer", "cli", id="typer"),
        pytest.param("rich", "cli", id="rich"),
        pytest.param("h11", "rehearse", id="h11"),
        pytest.param("websockets", "rehearse", id="websockets"),
        pytest.param("matplotlib", "rehearse", id="matplotlib"),
        pytest.param("jinja2", "rehearse", id="jinja2"),
    ],
)
def test_an_extra_that_is_missing_is_named_before_anything_begins(
    plan: str, tmp_path: Path, package: str, extra: str
) -> None:
    page = str(tmp_path / "page.html")
    command = [sys.executable, "-c", WITHOUT, package, "rehearse", plan, "--report", page]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == f"zdlife: {package} is not installed. Run: pip install 'zdlife[{extra}]'\n"
