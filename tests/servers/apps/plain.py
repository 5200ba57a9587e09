"""What both applications share: the marks they leave, and the gates at which a test holds them up."""

from __future__ import annotations

import atexit
import hashlib
import os
import time
from pathlib import Path

FOLDER = Path(os.environ["TEST_FOLDER"])
PARTS = 20
"""How many parts a stream has; its gate is in the middle."""
PART = b"0123456789" * 100


def mark(what: str) -> None:
    """Leave a line that says what this process has come to."""
    with (FOLDER / "marks").open("a") as file:
        file.write(f"{what} {os.getpid()}\n")


def is_open(gate: str) -> bool:
    """Whether the test has opened this gate."""
    return (FOLDER / f"open-{gate}").exists()


def wait_at(gate: str) -> None:
    """Keep this thread until the test opens the gate."""
    mark(f"at-{gate}")
    while not is_open(gate):
        time.sleep(0.01)


def receipt(body: bytes) -> bytes:
    """Return what an upload is answered with."""
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()


def hooks(life: object) -> None:
    """Mark what the lifecycle calls."""
    life.on_drain(lambda: mark("on-drain"))  # type: ignore[attr-defined]
    life.on_stop(lambda: mark("on-stop"))  # type: ignore[attr-defined]


atexit.register(mark, "atexit")
if os.environ.get("TEST_HOLD_IMPORT"):
    wait_at("import")
