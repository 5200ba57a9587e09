"""The HTTP check against real servers, with and without TLS."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from support import require_module
from zdlife.checks.http import LONGEST_BODY_BYTES, http
from zdlife.errors import CheckFailed


@dataclass
class Site:
    """A server for the test, and what it was asked."""

    port: int
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str, *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """Return the URL of a path."""
        return f"{scheme}://{host}:{self.port}{path}"


def serving(asked: list[tuple[str, str, dict[str, str]]], leave: threading.Event) -> type[BaseHTTPRequestHandler]:
    """Return what answers: `/status/503` with that status, `/big` with much, `/slow` never ends, others with ok."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
            path = self.path.partition("?")[0]
            self.send_response(int(path.rpartition("/")[2]) if path.startswith("/status/") else 200)
            self.send_header("Location", "https://elsewhere.invalid/?token=secret")
            self.end_headers()
            if path == "/big":
                self.wfile.write(b"x" * LONGEST_BODY_BYTES + b"the end")
            elif path == "/slow":
                while not leave.wait(0.05):
                    self.wfile.write(b"x")
            else:
                self.wfile.write(b"all is well: d\xc3\xa9j\xc3\xa0")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

    return Answers


@pytest.fixture
def site() -> Iterator[Callable[..., Site]]:
    """Starts a server, with TLS if it is given a context."""
    started: list[tuple[ThreadingHTTPServer, threading.Thread]] = []
    leave = threading.Event()

    def start(context: ssl.SSLContext | None = None) -> Site:
        made = Site(0)
        server = ThreadingHTTPServer(("127.0.0.1", 0), serving(made.asked, leave))
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that fails is what is tested
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        started.append((server, thread))
        return made

    yield start
    leave.set()
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture(scope="session")
def authority() -> Any:
    """Signs certificates that no system trusts."""
    return require_module("trustme").CA()


@pytest.fixture
def secure(site: Callable[..., Site], authority: Any) -> Site:
    """A server with a certificate for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return site(context)


@pytest.fixture
def trusting(authority: Any) -> ssl.SSLContext:
    """A client's context that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_an_answer_of_200_passes_and_the_request_is_one_polite_get(site: Any) -> None:
    there = site()

    assert http(there.url("/health?deep=1"), headers={"X-Shop": "7"})() is None

    ((method, path, headers),) = there.asked
    assert (method, path) == ("GET", "/health?deep=1")
    assert headers["x-shop"] == "7"
    assert headers["connection"] == "close"
    assert headers["host"] == f"127.0.0.1:{there.port}"
    assert headers["user-agent"].startswith("zdlife/")


@pytest.mark.parametrize("status", [204, [200, 204], range(200, 300)], ids=["one", "several", "a-range"])
def test_the_statuses_that_are_accepted_can_be_told(site: Any, status: Any) -> None:
    assert http(site().url("/status/204"), status=status)() is None


def test_another_status_fails_by_its_number(site: Any) -> None:
    there = site()

    with pytest.raises(CheckFailed, match=rf"^127.0.0.1:{there.port} answered 503 to GET /status/503$"):
        http(there.url("/status/503?token=secret"))()


def test_a_redirect_is_not_followed(site: Any) -> None:
    there = site()

    with pytest.raises(CheckFailed, match=r"answered 302 to GET /status/302; redirects are not followed$"):
        http(there.url("/status/302"))()
    assert len(there.asked) == 1
    assert http(there.url("/status/302"), status=302)() is None


@pytest.mark.parametrize("contains", ["is well", b"all", "déjà"], ids=["text", "bytes", "utf-8"])
def test_a_body_that_contains_what_it_should_passes(site: Any, contains: str | bytes) -> None:
    assert http(site().url("/"), contains=contains)() is None


def test_a_body_that_lacks_what_it_should_contain_fails_without_showing_it(site: Any) -> None:
    there = site()

    with pytest.raises(CheckFailed, match=rf"^127.0.0.1:{there.port} answered 200 to GET / without what it should"):
        http(there.url("/"), contains="a secret")()


def test_a_body_is_read_to_its_bound_and_no_further(site: Any) -> None:
    there = site()

    assert http(there.url("/big"))() is None
    with pytest.raises(CheckFailed, match="without what it should contain"):
        http(there.url("/big"), contains="the end")()


def test_a_body_that_never_ends_fails_in_time(site: Any) -> None:
    there = site()
    began = time.monotonic()

    with pytest.raises(CheckFailed, match=rf"^no answer from 127.0.0.1:{there.port} within 0.3 s$"):
        http(there.url("/slow"), timeout=0.3)()
    assert time.monotonic() - began < 5


def test_a_server_that_accepts_and_never_answers_fails_in_time(server_that: Any) -> None:
    port = server_that()

    with pytest.raises(CheckFailed, match=rf"^no answer from 127.0.0.1:{port} within 0.2 s$"):
        http(f"http://127.0.0.1:{port}/", timeout=0.2)()


def test_where_nobody_listens_the_refusal_is_named(refusing_port: int) -> None:
    with pytest.raises(CheckFailed, match=rf"^connection refused by 127.0.0.1:{refusing_port}$"):
        http(f"http://127.0.0.1:{refusing_port}/")()


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        ({"says": b"+PONG\r\n"}, "does not answer in HTTP: BadStatusLine"),
        ({"says": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nless", "closes": True}, "closed the connection"),
        ({"closes": True}, "closed the connection"),
    ],
    ids=["redis", "cut-off", "hangs-up"],
)
def test_what_is_no_answer_fails(server_that: Any, faulty: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckFailed, match=said):
        http(f"http://127.0.0.1:{server_that(**faulty)}/", timeout=0.5)()


def test_a_certificate_that_is_not_trusted_fails(secure: Site) -> None:
    with pytest.raises(CheckFailed, match=rf"^the certificate of localhost:{secure.port} is not trusted: "):
        http(secure.url("/", scheme="https", host="localhost"))()


def test_a_certificate_that_the_context_trusts_passes(secure: Site, trusting: ssl.SSLContext) -> None:
    check = http(secure.url("/", scheme="https", host="localhost"), contains="well", context=trusting)

    assert check() is None
    assert check() is None


def test_a_certificate_for_another_name_fails(secure: Site, trusting: ssl.SSLContext) -> None:
    with pytest.raises(CheckFailed, match=r"is not trusted: .*127\.0\.0\.1"):
        http(secure.url("/", scheme="https"), context=trusting)()


def test_a_server_without_tls_fails_where_it_is_asked_for(site: Any) -> None:
    there = site()

    with pytest.raises(CheckFailed, match=rf"^no TLS with 127.0.0.1:{there.port}: "):
        http(there.url("/", scheme="https"))()


def test_a_proxy_of_the_environment_is_not_used(site: Any, refusing_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{refusing_port}")

    assert http(site().url("/"))() is None
