"""HAProxy in front of the instances: it checks their health every 500 ms, and never tries a request again."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import tempfile
from pathlib import Path
from typing import Self

from zdlife.rehearsal.balancer import Front

CONFIGURATION = """\
global
    stats socket {socket} mode 600 level user
    maxconn 4000
    nbthread 1

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 300s
    retries 0
    http-reuse safe
    option httpchk GET {health}

listen app
    bind 127.0.0.1:{port}
    http-after-response set-header x-rehearsal-upstream %[srv_name]
    default-server check inter 500ms fall 2 rise 1
{servers}
"""


class HAProxy(Front):
    """Round robin over the berths whose health check is green; red takes two checks, 500 ms apart."""

    program = "haproxy"

    async def __aenter__(self) -> Self:
        # A unix socket's path has to be short, and the folder of a run may be anybody's.
        self._private = tempfile.TemporaryDirectory(prefix="zdlife-")
        self._socket = Path(self._private.name, "stats")
        self._admitted: set[int] = set()
        servers = "\n".join(f"    server berth-{port} 127.0.0.1:{port}" for port in self.berths)
        file = self.folder / "haproxy.cfg"
        file.write_text(CONFIGURATION.format(socket=self._socket, health=self.health, port=self.port, servers=servers))
        await self.start(["-db", "-f", str(file)])
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._private.cleanup()

    async def admit(self, *ports: int) -> None:
        """Return once their checks are green, and that of every empty berth red: HAProxy begins by trusting all."""
        new = set(ports)
        self._admitted |= new

        async def noticed() -> bool:
            up = await self._up()
            return new <= up <= self._admitted

        await self.until(noticed, otherwise=f"haproxy finds the instance unhealthy (GET {self.health})")

    async def _up(self) -> set[int]:
        """Return the ports of the berths that are sent requests."""
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
            try:
                writer.write(b"show stat -1 4 -1\n")
                rows = csv.DictReader((await reader.read()).decode().removeprefix("# ").splitlines())
                return {int(row["svname"].removeprefix("berth-")) for row in rows if row["status"].startswith("UP")}
            finally:
                writer.close()
        return set()
