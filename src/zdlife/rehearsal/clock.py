"""The time since a run began, and how it relates to the time of day that the instances write down."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

A_MOMENT = 0.05
"""Seconds within which two things that were written down apart are one moment."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since the run began. The event loop's clock is the same monotonic one."""

    began: float = field(default_factory=time.monotonic)
    began_unix: float = field(default_factory=time.time)

    def now(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self.began

    def loop_time(self, at: float) -> float:
        """Return the event loop's time of a moment of the run."""
        return self.began + at

    def from_unix(self, at: float) -> float:
        """Return the moment of the run that was `at` Unix seconds."""
        return at - self.began_unix

    @property
    def began_at(self) -> str:
        """The beginning of the run as ISO 8601, in UTC."""
        return datetime.fromtimestamp(self.began_unix, UTC).isoformat(timespec="seconds")
