"""What a shorter switch interval costs a program whose threads all compute."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from time import perf_counter, process_time

from benchmarks.paired import Contestant, Figure, Lap, measure

INTERVALS = {"Python's own, 5 ms": 0.005, "zdlife's, 0.5 ms": 0.0005}
THREADS = (1, 2, 4, 8)
CLOCKS: dict[str, Callable[[], float]] = {"elapsed": perf_counter, "processor": process_time}
WORK = 10_000
"""Numbers squared and summed in what `Figure` calls a request."""


def compute_lap(interval: float, *, threads: int, clock: Callable[[], float]) -> Lap:
    """Return what shares so much computing among the threads, with the interpreter at that switch interval."""

    def work(count: int) -> None:
        for _ in range(count):
            sum(number * number for number in range(WORK))

    def lap(count: int) -> float:
        before = sys.getswitchinterval()
        sys.setswitchinterval(interval)
        try:
            workers = [threading.Thread(target=work, args=(count // threads,)) for _ in range(threads)]
            began = clock()
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            return clock() - began
        finally:
            sys.setswitchinterval(before)

    return lap


def measure_intervals(*, rounds: int, requests: int) -> dict[str, list[Figure]]:
    """Return the two intervals' figures, by the clock they were taken with and the number of threads."""
    found: dict[str, list[Figure]] = {}
    for threads in THREADS:
        for name, clock in CLOCKS.items():
            contestants = [
                Contestant(said, compute_lap(interval, threads=threads, clock=clock))
                for said, interval in INTERVALS.items()
            ]
            found[f"{threads} threads, {name} time"] = measure(contestants, rounds=rounds, requests=requests)
    return found
