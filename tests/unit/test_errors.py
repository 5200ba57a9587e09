"""The errors a user can meet: each is a ZdlifeError, and the builtin it is."""

from __future__ import annotations

import errno
import inspect

import pytest

from zdlife import errors
from zdlife.errors import (
    BoardError,
    BudgetError,
    CheckFailed,
    Disconnected,
    IllegalTransition,
    MissingExtra,
    PlanError,
    WarmingStopped,
    WrongUse,
    ZdlifeError,
)

TREE = [
    (WrongUse, ValueError),
    (PlanError, WrongUse),
    (BudgetError, WrongUse),
    (MissingExtra, ImportError),
    (IllegalTransition, RuntimeError),
    (CheckFailed, RuntimeError),
    (WarmingStopped, RuntimeError),
    (BoardError, OSError),
    (Disconnected, OSError),
]


@pytest.mark.parametrize(("error", "kind"), TREE, ids=lambda cls: cls.__name__)
def test_each_is_of_zdlife_and_of_its_kind(error: type[Exception], kind: type[Exception]) -> None:
    assert issubclass(error, ZdlifeError)
    assert issubclass(error, kind)


def test_the_tree_is_complete_and_drawn_in_the_docstring() -> None:
    there = {cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, ZdlifeError)}

    assert there == {ZdlifeError, *(error for error, _ in TREE)}
    assert all(cls.__name__ in (errors.__doc__ or "") for cls in there)


def test_a_missing_extra_names_the_line_that_installs_it() -> None:
    error = MissingExtra("h11", extra="rehearse")

    assert "pip install 'zdlife[rehearse]'" in str(error)
    assert (error.package, error.extra, error.name) == ("h11", "rehearse", "h11")


def test_an_illegal_transition_names_the_phase_and_the_event() -> None:
    error = IllegalTransition("starting", "cleanup is done")

    assert str(error).startswith("cleanup is done cannot happen while starting.")
    assert (error.phase, error.event) == ("starting", "cleanup is done")


def test_a_board_error_keeps_the_systems_number() -> None:
    assert BoardError(errno.ENOSPC, "no room").errno == errno.ENOSPC
