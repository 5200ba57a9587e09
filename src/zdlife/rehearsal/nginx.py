"""nginx in front of the instances: a list that never changes, and no health checks.

Whoever refuses a connection is passed over for the next on the list, as is nginx's default. A request that was sent and
then lost is sent again only if it is a GET or its like.
"""

from __future__ import annotations

import getpass
import os
from typing import Self

from zdlife.rehearsal.balancer import Front
from zdlife.rehearsal.client import probe

CONFIGURATION = """\
daemon off;
{user}
worker_processes 1;
pid "{folder}/nginx.pid";
error_log stderr warn;
events {{ worker_connections 4000; }}
http {{
    access_log off;
    client_body_temp_path "{folder}/client_body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    client_max_body_size 1g;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    upstream app {{
{servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        add_header x-rehearsal-upstream $upstream_addr always;
        location / {{ proxy_pass http://app; }}
{websocket}
    }}
}}
"""
WEBSOCKET = """\
        location = {path} {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 300s;
        }}"""


class Nginx(Front):
    """Round robin over all berths, empty or not; `max_fails=0`, so that none is ever left out."""

    program = "nginx"

    async def __aenter__(self) -> Self:
        socket = self.plan.load.websocket
        path = socket.path.partition("?")[0] if socket else None
        file = self.folder / "nginx.conf"
        file.write_text(
            CONFIGURATION.format(
                # Started by root, its worker would become somebody else who cannot reach the folder.
                user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
                folder=self.folder,
                port=self.port,
                servers="\n".join(f"        server 127.0.0.1:{port} max_fails=0;" for port in self.berths),
                websocket=WEBSOCKET.format(path=path) if path else "",
            )
        )
        await self.start(["-p", str(self.folder), "-e", "stderr", "-c", str(file)])
        return self

    async def admit(self, *ports: int) -> None:
        """Return once nginx itself answers."""

        async def answers() -> bool:
            return await probe(self.port, self.health, within=2.0) is not None

        await self.until(answers, otherwise="nginx does not answer")
