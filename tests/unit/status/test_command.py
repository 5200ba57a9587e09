"""`zdlife status` shows an instance, and its exit code says whether it is ready."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import eventually
from support.facts import SITUATIONS, status
from support.management import ManagementPort
from zdlife.cli import outcome

COMMAND = [sys.executable, "-c", "from zdlife.cli import run; run()", "status"]


@pytest.fixture
def port() -> Iterator[ManagementPort]:
    """A management port of an instance that is ready."""
    with ManagementPort(status()) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_port_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZDLIFE_MANAGEMENT_PORT", raising=False)


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr of a command that ends with exit code 2."""
    assert outcome(["status", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith("zdlife: ")
    return told.err


@pytest.mark.parametrize(
    ("situation", "code"),
    [
        pytest.param("ready", 0, id="ready"),
        pytest.param("degraded", 0, id="degraded"),
        pytest.param("unready", 1, id="not-ready"),
        pytest.param("warming", 1, id="warming"),
        pytest.param("leaving", 1, id="leaving"),
    ],
)
@pytest.mark.parametrize("form", [pytest.param([], id="text"), pytest.param(["--json"], id="json")])
def test_the_exit_code_says_whether_it_is_ready(
    port: ManagementPort, situation: str, code: int, form: list[str]
) -> None:
    port.facts = SITUATIONS[situation]()
    assert outcome(["status", str(port.port), *form]) == code


def test_json_is_what_the_instance_answered_and_nothing_else(
    port: ManagementPort, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(["status", f"127.0.0.1:{port.port}", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == port.facts
    assert told.err == ""


def test_facts_of_a_newer_release_are_passed_on_as_json(
    port: ManagementPort, capsys: pytest.CaptureFixture[str]
) -> None:
    port.facts = {"zdlife": "9.0", "kind": "status", "status": "pass", "workers": 3}
    assert outcome(["status", str(port.port), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == port.facts


def test_facts_that_this_release_does_not_know_are_said_to_be(
    port: ManagementPort, capsys: pytest.CaptureFixture[str]
) -> None:
    port.facts = {"zdlife": "9.0", "kind": "status", "status": "pass", "workers": 3}
    assert "the instance is of zdlife 9.0" in complaint([str(port.port)], capsys)


def test_the_port_is_taken_from_the_environment(
    port: ManagementPort, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZDLIFE_MANAGEMENT_PORT", str(port.port))
    assert outcome(["status"]) == 0
    assert "READY" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param([], "set ZDLIFE_MANAGEMENT_PORT here", id="no-address"),
        pytest.param(["1"], "nothing answers at 127.0.0.1:1 (Connection refused)", id="nobody"),
        pytest.param(["9100", "--watch", "--json"], "Choose one of them", id="watch-and-json"),
        pytest.param(["9100", "--board", "page"], "Name one of them", id="two-sources"),
        pytest.param(["here:there"], "'here:there' is no address", id="no-number"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert expected in complaint(arguments, capsys)


def test_watching_what_does_not_answer_ends_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing answers" in complaint(["1", "--watch"], capsys)


def test_off_a_terminal_watching_prints_a_line_for_each_change(port: ManagementPort, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out, started([*COMMAND, str(port.port), "--watch"], stdout=out) as watching:
        eventually(lambda: " Ready: shop" in log.read_text(), within=20, why="it is seen to be ready")
        asked = len(port.asked)
        eventually(lambda: len(port.asked) >= asked + 1, within=20, why="it is asked again")
        port.facts = SITUATIONS["leaving"]()
        eventually(lambda: " Leaving: shop" in log.read_text(), within=20, why="it is seen to leave")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=20) == 0
    assert log.read_text().count("\n") == 2


def test_on_a_terminal_watching_follows_and_ends_cleanly(tmp_path: Path) -> None:
    said = bytearray()
    with ManagementPort(status()) as port, terminal() as (ours, theirs):
        command = [*COMMAND, str(port.port), "--watch"]
        with started(command, stdin=theirs, stdout=theirs, stderr=theirs) as watching:
            eventually(lambda: "✓ READY".encode() in heard(ours, said), within=20, why="it is seen to be ready")
            port.facts = SITUATIONS["unready"]()
            eventually(lambda: "✕ NOT READY".encode() in heard(ours, said), within=20, why="it is seen to fail")
            port.close()
            eventually(lambda: b"This is what it said last" in heard(ours, said), within=20, why="it is missed")
            watching.send_signal(signal.SIGINT)
            eventually(lambda: heard(ours, said) and watching.poll() is not None, within=20, why="it ends")
            assert watching.returncode == 0
    assert b"Traceback" not in said


@contextlib.contextmanager
def started(command: list[str], **streams: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command, and end it whatever happens."""
    process = subprocess.Popen(command, env={**os.environ, "TERM": "xterm-256color"}, **streams)
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=20)


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Return the two ends of a terminal with 40 lines and 100 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    os.set_blocking(ours, False)
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def heard(end: int, said: bytearray) -> bytearray:
    """Return all that was written to the terminal so far."""
    with contextlib.suppress(BlockingIOError, OSError):
        while more := os.read(end, 65536):
            said += more
    return said
