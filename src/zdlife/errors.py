"""Every error a user can meet, with what to do about it.

    ZdlifeError
    ├── WrongUse (ValueError)              the command line or a file says something that cannot be done; exit code 2
    │   ├── PlanError                      a rehearsal plan cannot be read
    │   └── BudgetError                    settle + drain + cleanup do not fit the grace period
    ├── MissingExtra (ImportError)         an optional dependency is needed and absent
    ├── IllegalTransition (RuntimeError)   an event that cannot happen in this phase
    ├── CheckFailed (RuntimeError)         a ready-made check found its dependency not as it should be
    ├── WarmingStopped (RuntimeError)      a warmer goes on while its instance leaves
    ├── BoardError (OSError)               the page shared by the workers cannot be used
    └── Disconnected (OSError)             a message is sent on a WebSocket that was told goodbye

A message says what happened with the values, then what to do about it. Where a program could use the values, they are
attributes too.
"""

from __future__ import annotations


class ZdlifeError(Exception):
    """The base of every error zdlife raises on purpose."""


class WrongUse(ZdlifeError, ValueError):
    """Something the user wrote cannot be done; the message is one line and names the remedy."""


class PlanError(WrongUse):
    """A rehearsal plan cannot be read or carried out."""


class BudgetError(WrongUse):
    """Settle, drain and cleanup together do not fit the time the platform gives."""


class MissingExtra(ZdlifeError, ImportError):
    """An optional dependency is absent; the message names the package and the line that installs it."""

    def __init__(self, package: str, *, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package} is not installed. Run: pip install 'zdlife[{extra}]'", name=package)


class IllegalTransition(ZdlifeError, RuntimeError):
    """An event arrived that cannot happen in this phase; the phase is unchanged."""

    def __init__(self, phase: str, event: str) -> None:
        self.phase = phase
        self.event = event
        super().__init__(
            f"{event} cannot happen while {phase}. This is a fault in zdlife or its server adapter; please report it."
        )


class CheckFailed(ZdlifeError, RuntimeError):
    """A dependency is not as it should be; the message is one short line that may be shown."""


class WarmingStopped(ZdlifeError, RuntimeError):
    """A warmer said how far it is while its instance leaves; it may let this pass, and has nothing to do any more."""


class BoardError(ZdlifeError, OSError):
    """The memory shared between the workers of an instance cannot be made or read."""


class Disconnected(ZdlifeError, OSError):
    """A message was sent on a connection that is closed; an application may let it pass, as it may any OSError."""
