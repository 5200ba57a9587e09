"""Who is speaking: the release and the instance."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """One running copy of one version of one service.

    `instance` is the same in every process of the instance. Without a name of its own it is the host's name and the
    process id of the instance's first process, which is what tells copies on one machine apart.
    """

    service: str
    version: str
    instance: str
    environment: str = "development"

    def as_dict(self) -> dict[str, str]:
        """Return the three names every probe, report and metric carries."""
        return {"service": self.service, "version": self.version, "instance": self.instance}


def default_instance(*, leader_pid: int | None = None) -> str:
    """Return a name for this instance: the host's name and the id of its first process."""
    return f"{socket.gethostname()}-{leader_pid or os.getpid()}"
