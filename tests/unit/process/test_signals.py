"""First in line for SIGTERM and SIGINT, and handing them on; with real signals to this very process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from zdlife.machine.phases import Event
from zdlife.process.signals import Tap

SIGNALS = [
    pytest.param(signal.SIGTERM, Event.TERM, id="SIGTERM"),
    pytest.param(signal.SIGINT, Event.INTERRUPT, id="SIGINT"),
]


class Server:
    """A server's own handler, which keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def handle_exit(self, signum: int, frame: FrameType | None) -> None:
        self.got.append(signum)


@pytest.fixture(autouse=True)
def _the_handlers_of_the_test_run() -> Iterator[None]:
    """Put the handlers back that pytest and Python have."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def server() -> Server:
    """A server that handles both signals."""
    server = Server()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, server.handle_exit)
    return server


@pytest.fixture
def posted() -> list[Event]:
    return []


@pytest.fixture
def tap(server: Server, posted: list[Event]) -> Tap:
    """A tap that stands before the server's handlers."""
    tap = Tap(posted.append)
    assert tap.install()
    return tap


@pytest.mark.parametrize(("signum", "event"), SIGNALS)
def test_a_signal_is_posted_and_kept_from_the_server(
    tap: Tap, server: Server, posted: list[Event], signum: int, event: Event
) -> None:
    os.kill(os.getpid(), signum)

    assert (posted, server.got) == ([event], [])


def test_each_of_many_signals_is_posted(tap: Tap, posted: list[Event]) -> None:
    for signum in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        signal.raise_signal(signum)

    assert posted == [Event.TERM, Event.TERM, Event.INTERRUPT]


def test_it_remembers_who_was_there_before(tap: Tap, server: Server) -> None:
    assert tap.installed
    assert tap.before(signal.SIGTERM) == server.handle_exit
    assert tap.before(signal.SIGUSR1) is None


@pytest.mark.parametrize(("signum", "event"), SIGNALS)
def test_the_server_gets_its_turn(tap: Tap, server: Server, posted: list[Event], signum: int, event: Event) -> None:
    tap.call_before(signum)

    assert (server.got, posted) == ([signum], [])
    assert tap.installed


def test_a_signal_that_was_ignored_before_stays_ignored() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tap = Tap(lambda event: None)
    tap.install()

    tap.call_before(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_control_c_does_what_it_does_in_python() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tap = Tap(lambda event: None)
    tap.install()

    with pytest.raises(KeyboardInterrupt):
        tap.call_before(signal.SIGINT)

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_the_main_thread_nothing_is_taken(server: Server) -> None:
    tap = Tap(lambda event: None)
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.append(tap.install()))
    thread.start()
    thread.join()

    assert (taken, tap.installed) == ([False], False)
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # monitors of other tests may be ending
def test_a_process_whose_signals_have_no_handler_ends_by_the_signal() -> None:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        tap = Tap(lambda event: None)
        tap.install()
        tap.call_before(signal.SIGTERM)
        os._exit(0)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM


def test_to_step_out_of_the_line_puts_everybody_back(tap: Tap, server: Server) -> None:
    tap.remove()
    os.kill(os.getpid(), signal.SIGTERM)

    assert server.got == [signal.SIGTERM]
    assert not tap.installed
