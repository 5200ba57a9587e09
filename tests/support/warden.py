"""Has the processes of the tests killed if the tests themselves are killed."""

from __future__ import annotations

import atexit
import contextlib
import subprocess
import sys

from zdlife.rehearsal import warden

_warden: list[subprocess.Popen[bytes]] = []


def tell_warden(line: str) -> None:
    """Have the groups killed that are left if these tests themselves are killed."""
    if not _warden:
        argv = [sys.executable, "-I", "-S", warden.__file__]
        _warden.append(subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True))
        atexit.register(_dismiss_warden)
    stdin = _warden[0].stdin
    assert stdin is not None
    with contextlib.suppress(BrokenPipeError):
        stdin.write(line.encode())
        stdin.flush()


def _dismiss_warden() -> None:
    watching = _warden.pop()
    assert watching.stdin is not None
    watching.stdin.close()
    watching.wait(timeout=5.0)
