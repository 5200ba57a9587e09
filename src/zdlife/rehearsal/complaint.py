"""What is wrong with a plan, as one line that names the key and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place = Sequence[int | str]


def complaint(error: ValidationError, *, root: type[BaseModel]) -> str:
    """Return the first thing that is wrong with a plan of the shape `root`.

    A key that does not exist comes before one that is missing, since they are often the same one, misspelt.
    """
    first = min(error.errors(), key=lambda details: details["type"] != "extra_forbidden")
    return _sentence(first, root)


def nearest(name: str, among: Sequence[str]) -> str:
    """Return the one of `among` that looks most like `name`."""
    return max(among, key=lambda known: SequenceMatcher(None, name, known).ratio())


def _sentence(error: ErrorDetails, root: type[BaseModel]) -> str:
    place = error["loc"]
    match error["type"]:
        case "extra_forbidden":
            valid = sorted(_keys(place[:-1], root))
            near = nearest(str(place[-1]), valid)
            return (
                f'"{place[-1]}" is not a key of {_written(place[:-1])}. Did you mean "{near}"? '
                f"The keys are {', '.join(valid)}."
            )
        case "missing":
            return f'{_written(place[:-1])} has no "{place[-1]}". Add it.'
        case "value_error":
            return f"{_written(place)}: {error['msg'].removeprefix('Value error, ').rstrip('.')}."
        case "literal_error":
            given = str(error["input"])
            valid = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            near = nearest(given, valid)
            place = place[:-1] if place[-1] == "[key]" else place
            return f'{_written(place)} is "{given}". Did you mean "{near}"? It is one of {", ".join(valid)}.'
        case _:
            wish = error["msg"].removeprefix("Input ").rstrip(".")
            return f"{_written(place)} is {error['input']!r}, and {wish[0].lower()}{wish[1:]}."


def _written(place: Place) -> str:
    """Return a place in the plan as one would write it: `[load.requests] number 2`."""
    names = ".".join(part for part in place if isinstance(part, str))
    numbers = [part + 1 for part in place if isinstance(part, int)]
    where = f"[{names}]" if names else "the plan"
    return f"{where} number {numbers[-1]}" if numbers else where


def _keys(place: Place, root: type[BaseModel]) -> Iterator[str]:
    """Yield the keys that are valid in the table at `place`."""
    table = root
    for part in place:
        if isinstance(part, str):
            table = _table_in(table.model_fields[part].annotation)
    for name, known in table.model_fields.items():
        if not known.exclude:
            yield known.alias or name


def _table_in(annotation: Any) -> type[BaseModel]:
    """Return the table that an annotation holds: itself, an optional one, or the items of a tuple."""
    for inner in get_args(annotation) or (annotation,):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    raise AssertionError(f"{annotation} holds no table")
