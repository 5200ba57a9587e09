"""Trap: gunicorn's sync and gthread workers wait up to two seconds for each client that is told to close and does not.

Without the cure, a few such clients take longer than 300 of them with it.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from math import inf
from pathlib import Path

import pytest

from support import eventually
from support.clients import Call, get
from support.servers import SERVERS, Instance

PATIENT = {
    "ZDLIFE_SETTLE": "1.5",
    "ZDLIFE_SETTLE_QUIET": "0.3",
    "ZDLIFE_SETTLE_MAX": "20",
    "ZDLIFE_DRAIN": "60",
    "ZDLIFE_GRACE": "90",
}
OPTIONS = {"gunicorn-sync": (), "gunicorn-gthread": ("--keep-alive", "60", "--worker-connections", "1000")}


@pytest.mark.parametrize("server", ["gunicorn-sync", "gunicorn-gthread", "gunicorn-gthread-alone"])
def test_300_clients_that_never_close_their_side_are_all_served_while_settling(server: str, tmp_path: Path) -> None:
    with_cure = time_to_answer(server, 300, tmp_path / "cured")
    # The worker waits behind an answer, so a client may still come through before it begins to.
    without = time_to_answer(server, 30, tmp_path / "control", cured=False, enough=with_cure)
    assert with_cure < without, f"300 clients took {with_cure:.2f} s, 30 without the cure {without:.2f} s"


def time_to_answer(server: str, clients: int, folder: Path, *, cured: bool = True, enough: float = inf) -> float:
    """Return how long it takes until all clients have an answer that the settling instance gives them, or `enough`.

    gthread's clients have their connections from before the stop; sync knows no keep-alive, so its clients come anew.
    """
    environment = PATIENT if cured else {**PATIENT, "ZDLIFE_SETTLE": "20"}
    without = [] if cured else ["closing in the background"]
    extra = OPTIONS[server.removesuffix("-alone")]
    one = SERVERS[server].with_workers(1)
    with ExitStack() as calls, Instance(one, folder, environment=environment, extra=extra, without=without) as instance:
        instance.wait_until_ready()
        kept = []
        if "gthread" in server:
            kept = [calls.enter_context(Call(instance.port)) for _ in range(clients)]
            for call in kept:
                assert not call.send("GET", "/").read().closes
        instance.signal(signal.SIGTERM)
        eventually(lambda: get(instance.port, "/readyz").status == 503)
        began = time.monotonic()
        asked = kept or [calls.enter_context(Call(instance.port)) for _ in range(clients)]
        for call in asked:
            answer = call.send("GET", "/").read()
            assert (answer.status, answer.closes) == (200, True)
            took = time.monotonic() - began
            if took > enough:
                break
        if cured:
            calls.close()
            assert instance.wait_for_exit(within=60) == 0
            assert all(report["clean"] for report in instance.reports())
    return took
