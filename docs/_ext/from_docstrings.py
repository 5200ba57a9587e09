"""The directive `zdlife-python`: what the package exports, with its signatures and its docstrings, as they stand.

Docstrings here are written as Markdown is; all that is done to them is that the list of errors becomes a list.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

from sphinx.application import Sphinx

from from_the_code import Generated

RAISES = "Raises:"
LINE = 88


class PythonApi(Generated):
    """Functions, methods and properties, each below a heading: the lines of the content, as `module:name`."""

    has_content = True

    def markdown(self) -> Iterator[str]:
        for line in self.content:
            module, _, name = line.partition(":")
            found: Any = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
            yield from _entry(module, name, found)


def _entry(module: str, name: str, found: Any) -> Iterator[str]:
    shown = name.replace("Lifecycle.", "life.").replace("Warm.", "warm.")
    yield from (f"(python-{module}-{name})=".lower().replace("_", "-"), f"### `{shown}`", "")
    if isinstance(found, property):
        yield from _doc(found)
        return
    yield from ("```python", *_signature(module, shown, found), "```", "")
    yield from _doc(found)


def _signature(module: str, shown: str, found: Any) -> Iterator[str]:
    """Yield a call as it is written, on one line if it fits."""
    if module.startswith("zdlife.checks"):
        yield from (f"from {module} import {found.__name__}", "")
    parameters = [each for each in inspect.signature(found).parameters.values() if each.name != "self"]
    written = [_written(each, names=getattr(found, "__globals__", {})) for each in parameters]
    keywords = next((at for at, each in enumerate(parameters) if each.kind is each.KEYWORD_ONLY), None)
    if keywords is not None:
        written.insert(keywords, "*")
    line = f"{shown}({', '.join(written)})"
    if len(line) <= LINE:
        yield line
    else:
        yield from (f"{shown}(", *(f"    {each}," for each in written), ")")


def _written(parameter: inspect.Parameter, *, names: Mapping[str, Any]) -> str:
    """Return a parameter as it is declared, with the values of a set that has a name."""

    def values(name: re.Match[str]) -> str:
        meant = names.get(name[0])
        return f"Literal{list(get_args(meant))}" if get_origin(meant) is Literal else name[0]

    annotation = re.sub(r"\b[A-Z]\w+", values, parameter.annotation)
    has = parameter.default is not parameter.empty
    return f"{parameter.name}: {annotation}" + (f" = {parameter.default!r}" if has else "")


def _doc(found: Any) -> Iterator[str]:
    """Yield a docstring; what is said below `Raises:` as a list."""
    text, _, raises = (inspect.getdoc(found) or "").partition(RAISES)
    yield from (text.rstrip(), "")
    error = ""
    for line in inspect.cleandoc(raises).splitlines():
        if line[:1].isspace():
            error += f" {line.strip()}"
        else:
            yield from ([error] if error else [])
            name, _, when = line.partition(": ")
            error = f"- raises `{name}`: {when}"
    yield from (error, "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directive."""
    app.add_directive("zdlife-python", PythonApi)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
