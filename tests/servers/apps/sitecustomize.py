"""Runs in every Python process of a server under test: it writes down what zdlife logs, and takes cures away.

`TEST_WITHOUT` names the cures that a control is to do without; each is one name in zdlife, replaced by something that
does nothing.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from importlib import import_module
from pathlib import Path


class Journal(logging.Handler):
    """Appends every record of zdlife's to the file `journal`, a line of JSON each."""

    def emit(self, record: logging.LogRecord) -> None:
        line = {
            "pid": os.getpid(),
            "at": time.monotonic(),
            "level": record.levelname,
            "said": record.getMessage(),
            "zdlife": getattr(record, "zdlife", None),
            "raised": None if record.exc_info is None else repr(record.exc_info[1]),
        }
        with (Path(os.environ["TEST_FOLDER"]) / "journal").open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")


def nothing(*_: object, **__: object) -> None:
    """Stand in for a cure."""


CURES = {
    "closing in the background": [("zdlife.servers.lingering", "close_in_background", nothing)],
    "leaving the queue empty": [
        ("zdlife.process.listener", "stop_new_connections", lambda _listener: False),
        ("zdlife.process.listener", "queued", lambda _listener: 0),
    ],
    "closing idle connections": [("zdlife.servers.gunicorn", "GunicornAsgi._close_idle", nothing)],
    "quitting at once": [("zdlife.servers.gunicorn", "_quit_at_once", nothing)],
    "saying goodbye": [("zdlife.longlived.websockets", "OpenSockets.say_goodbye", nothing)],
}

if "TEST_FOLDER" in os.environ:
    logger = logging.getLogger("zdlife")
    logger.setLevel(logging.INFO)
    logger.addHandler(Journal())
    for cure in filter(None, os.environ.get("TEST_WITHOUT", "").split(",")):
        for module, name, instead in CURES[cure]:
            owner = import_module(module)
            *path, last = name.split(".")
            for step in path:
                owner = getattr(owner, step)
            setattr(owner, last, instead)
    # zdlife finds its server by what is imported; a control must not have imported more than the rest.
    assert not {"gunicorn", "uvicorn", "granian", "hypercorn"} & set(sys.modules)
