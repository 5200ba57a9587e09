"""What the arguments of the ready-made checks have in common: refused where the check is defined, not when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from zdlife.errors import MissingExtra, WrongUse


def seconds(name: str, value: float) -> float:
    """Return a time that can be waited for.

    Raises:
        WrongUse: it is no positive, finite number.
    """
    if not 0 < value < float("inf"):
        raise WrongUse(f"{name}={value!r} should be a positive number of seconds, such as 1.5.")
    return value


def package(name: str, *, extra: str) -> Any:
    """Return an optional package.

    Raises:
        MissingExtra: it cannot be imported.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtra(name, extra=extra) from error
