"""Instances of the application in tests/servers/apps/arriving.py, and what they answer."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.clients import Response, get
from support.servers import SERVERS, Instance
from support.waiting import eventually

LONG = 30.0


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Arriving:
    """One instance with a management port, and its dependency."""

    instance: Instance
    management: int

    @property
    def port(self) -> int:
        return self.instance.port

    def dependency(self, does: str) -> None:
        """Have the dependency behave like this from now on."""
        fresh = self.instance.folder / "dependency.new"
        fresh.write_text(does)
        fresh.rename(self.instance.folder / "dependency")

    def probe(self, path: str = "/readyz", *, port: int | None = None) -> Response:
        """Return what the management port, or another, answers."""
        return get(port or self.management, path, timeout=LONG)

    def health(self, path: str = "/readyz", *, port: int | None = None) -> dict[str, Any]:
        """Return the document in it."""
        return dict(json.loads(self.probe(path, port=port).body))

    def status(self) -> dict[str, Any]:
        """Return everything the management port tells."""
        return self.health("/status")

    def is_ready(self) -> bool:
        """Whether the management port says so; False while nothing listens there."""
        with contextlib.suppress(OSError):
            return self.probe().status == 200
        return False

    def wait_until_ready(self, *, within: float = LONG) -> None:
        """Return once it is ready."""
        self.instance.wait_until(self.is_ready, within=within, why="it is ready")

    def wait_for_reasons(self, *words: str, within: float = LONG) -> dict[str, Any]:
        """Return the readiness answer that first gives just these reasons."""
        found: list[dict[str, Any]] = []

        def holds() -> bool:
            with contextlib.suppress(OSError):
                found[:] = [self.health()]
            return bool(found) and found[0]["reasons"] == list(words)

        eventually(holds, within=within, why=f"the reasons are {words}, not {found and found[0]['reasons']}")
        return found[0]


@contextmanager
def arriving(
    name: str,
    folder: Path,
    *,
    application: str = "",
    environment: Mapping[str, str] | None = None,
    extra: tuple[str, ...] = (),
    workers: int | None = None,
    hooks: bool = True,
) -> Iterator[Arriving]:
    """Run the application under the server `name`, with a management port."""
    server = SERVERS[name] if workers is None else SERVERS[name].with_workers(workers)
    port, management = free_port(), free_port()
    target = f"arriving:{application or server.interface}"
    command = server.command(port, application=target, extra=extra, hooks=hooks)
    variables = {"ZDLIFE_MANAGEMENT_PORT": str(management), **(environment or {})}
    with Instance(server, folder, environment=variables, command=command, port=port) as instance:
        yield Arriving(instance, management)
