"""A management port made of the standard library, for tests of those who ask it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from zdlife.probes.page import render


class ManagementPort:
    """Serves `facts`, which may be replaced at any time, at `/status` as JSON and at `/` as the page.

    `answer` replaces what is sent at `/status`; `asked` are the paths that were asked for.
    """

    def __init__(
        self, facts: dict[str, Any], *, answer: bytes | None = None, media_type: str = "application/json"
    ) -> None:
        self.facts = facts
        self.answer = answer
        self.media_type = media_type
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Answer nobody any more; nothing where that is so already."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        port = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                port.asked.append(self.path)
                asked = urlsplit(self.path)
                if asked.path == "/":
                    refresh = float(parse_qs(asked.query).get("refresh", ["2"])[0])
                    self.reply(render(port.facts, refresh=refresh).encode(), "text/html; charset=utf-8")
                elif asked.path.endswith("/status"):
                    self.reply(port.answer or json.dumps(port.facts).encode(), port.media_type)
                else:
                    self.send_error(404)

            def reply(self, body: bytes, media_type: str) -> None:
                self.send_response(200)
                self.send_header("content-type", media_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
