"""Every request from its plan to its end: what was asked, what the client heard, what the application says it did."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.result import Kind, Outcome


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is planned, and so has to be accounted for. `at` is the planned instant."""

    id: str
    kind: Kind
    at: float
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Heard:
    """How a request ended for the client. `sent_at` is when it turned to the network, `port` whom it asked."""

    sent_at: float
    ended_at: float
    outcome: Outcome
    status: int | None = None
    port: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a request was given to the application: by which process of which instance."""

    instance: str
    pid: int
    at: float


@dataclass(slots=True)
class Told:
    """What the application side wrote about one request: how often it was begun, and how often and with what done.

    `beginnings` has those of which it wrote down the process.
    """

    begun: int = 0
    done: int = 0
    status: int | None = None
    instance: str | None = None
    beginnings: list[Beginning] = field(default_factory=list)


class Ledger:
    """The client's half. An id that was asked stays in the count, whatever becomes of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._recent: deque[float] = deque(maxlen=10_000)
        self.asked: dict[str, Asked] = {}
        self.heard: dict[str, Heard] = {}
        self.failed: Counter[str] = Counter()

    def ask(self, kind: Kind, *, at: float, method: str, path: str) -> Asked:
        """Enter a request, and return it with its id."""
        asked = Asked(f"{len(self.asked) + 1:06d}", kind, at, method, path)
        self.asked[asked.id] = asked
        self._recent.append(self._clock.now())
        return asked

    def hear(self, asked: Asked, heard: Heard) -> None:
        """Enter how it ended."""
        assert asked.id not in self.heard, f"request {asked.id} ended twice"
        self.heard[asked.id] = heard
        if heard.outcome is not Outcome.OK:
            self.failed[heard.outcome.value] += 1

    @property
    def in_progress(self) -> int:
        """How many requests have neither ended nor failed."""
        return len(self.asked) - len(self.heard)

    def rate(self, *, over: float = 2.0) -> float:
        """Return the requests a second of the last `over` seconds."""
        now = self._clock.now()
        since = now - min(over, max(now, 0.1))
        recent = sum(1 for at in reversed(self._recent) if at >= since)
        return recent / (now - since)


def read(ledgers: Mapping[str, Path], clock: Clock) -> dict[str, Told]:
    """Return by id what the applications' ledgers say; `ledgers` maps an instance's name to its file."""
    told: dict[str, Told] = {}
    for instance, file in ledgers.items():
        if file.exists():
            _enter(told, instance, file.read_text(encoding="latin-1").splitlines(), clock)
    return told


def _enter(told: dict[str, Told], instance: str, lines: Iterable[str], clock: Clock) -> None:
    """Enter the lines of one instance as the witness writes them; the process may be missing."""
    for line in lines:
        mark, at, id, *rest = line.split(" ")
        entry = told.setdefault(id, Told())
        entry.instance = instance
        if mark == "D":
            entry.done += 1
            entry.status = int(rest[0])
            continue
        entry.begun += 1
        if rest:
            entry.beginnings.append(Beginning(instance, int(rest[0]), clock.from_unix(float(at))))
