"""What a server must be able to do for zdlife to take its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from zdlife.machine.budget import ServerDeadline
from zdlife.machine.phases import Event


class Host(Protocol):
    """The server around this process, as the lifecycle sees it; one implementation for each, in `zdlife.servers`.

    `take_signals` is called once, before the application is ready, in the main thread where the server allows it.
    Everything else is called by the monitor's thread, does not block it, and may be called again without harm.
    """

    @property
    def name(self) -> str:
        """The server's name, as reports have it."""

    @property
    def conducted(self) -> bool:
        """Whether a master settles for this worker, and lets it go when the settle is over."""

    @property
    def alone(self) -> bool:
        """Whether a signal to this process is always meant for the whole instance."""

    @property
    def owns_process(self) -> bool:
        """Whether the process is this server's alone, so that it may be ended when the server cannot end it."""

    @property
    def deadline(self) -> ServerDeadline | None:
        """The time after which the server cuts off what is in flight, or None if it waits as long as zdlife does."""

    def take_signals(self, post: Callable[[Event], None]) -> None:
        """Put zdlife first in line for SIGTERM and SIGINT; `post` may be called from a signal handler."""

    def means(self, event: Event) -> tuple[Event, ...]:
        """Return what an event means here; may take half a second to find out."""

    def leave_listener(self, *, whole_instance: bool) -> None:
        """Begin to leave the listening socket; with `whole_instance` nobody else goes on accepting from it."""

    def queue_is_empty(self) -> bool:
        """Return whether no connection waits on the listening socket any more."""

    def lingered(self) -> bool:
        """Return whether a recycled worker has no connection left to linger on."""

    def hand_over(self) -> None:
        """Let the server's own graceful stop begin."""

    def force(self) -> None:
        """Let the server's own force-quit begin."""

    @property
    def patience(self) -> float:
        """Seconds that a worker may keep itself from accepting before the server stops the one it replaces."""

    def reassure(self) -> None:
        """Let the server know that this worker is alive though it does not serve yet; from any thread."""

    def look(self) -> tuple[Event, ...]:
        """Return what the server has decided by itself since the last look, a few times a second."""
