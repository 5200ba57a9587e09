"""What a server is kept busy with while it is probed."""

from __future__ import annotations

import http.client
import json
import random
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic, sleep
from urllib.request import urlopen

PATIENCE = 30.0
BURN = (0.02, 0.05)
"""Seconds of processor time that one request burns: at least, at most."""


@contextmanager
def blocked(port: int, management: int, *, workers: int, seconds: float) -> Iterator[None]:
    """Block every worker for so long; the body runs once all of them are, and is over before any is free again.

    Raises:
        SystemExit: it was not, so that the probes prove nothing.
    """
    with ExitStack() as stack:
        calls = []
        for _ in range(workers):
            call = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            call.sendall(f"GET /block?{seconds} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            calls.append(call)
        until = monotonic() + seconds / 2
        while _in_flight(management) < workers:
            if monotonic() > until:
                raise SystemExit(f"fewer than {workers} workers are blocked. Run it again on a quieter machine.")
            sleep(0.02)
        yield
        if select.select(calls, [], [], 0)[0]:
            raise SystemExit(
                f"a worker was free again after {seconds:g} s, before the last probe. Write fewer --probes"
            )
        for call in calls:
            call.recv(1)


@contextmanager
def computing(port: int, *, clients: int) -> Iterator[None]:
    """Send requests that burn processor time, from so many clients back to back, for as long as the body runs."""
    over = threading.Event()

    def keep_asking(seed: int) -> None:
        dice = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        while not over.is_set():
            connection.request("GET", f"/burn?{dice.uniform(*BURN):.4f}")
            connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=keep_asking, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    try:
        sleep(0.5)
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _in_flight(management: int) -> int:
    with urlopen(f"http://127.0.0.1:{management}/status", timeout=PATIENCE) as answer:
        return int(json.load(answer)["in_flight"]["count"])
