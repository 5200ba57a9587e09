"""Pages that are written by the code itself: settings, profiles, plan, transition table and command line.

Each directive writes Markdown from what the package holds and has it parsed where it stands, so that no page says what
the code does not.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from docutils import nodes
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined
from sphinx.util.docutils import SphinxDirective

from transitions import drawing, rows
from zdlife.settings import PROFILES, Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from sphinx.application import Sphinx

SAID = {"settle": "5; 0 on a terminal"}
"""Defaults that depend on where the process runs."""


class Generated(SphinxDirective):
    """A directive whose content is Markdown made from the code."""

    def markdown(self) -> Iterator[str]:
        """Yield the lines."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self.markdown()), offset=self.lineno)


class SettingsTable(Generated):
    """Every field of `zdlife.Settings`."""

    def markdown(self) -> Iterator[str]:
        yield from ("| variable | type | default | |", "|---|---|---|---|")
        for name, field in Settings.model_fields.items():
            default = SAID.get(name) or _default(field)
            yield f"| `ZDLIFE_{name.upper()}` | {_type(field.annotation)} | {default} | {field.description} |"


class ProfilesTable(Generated):
    """The times of each platform."""

    def markdown(self) -> Iterator[str]:
        names = ["grace", "settle", "settle_quiet", "settle_max", "drain", "cleanup"]
        plain = {name: Settings.model_fields[name].default for name in names} | {"settle": 5}
        yield f"| `ZDLIFE_PROFILE` | {' | '.join(names)} |"
        yield "|---|" + "---|" * len(names)
        for profile, times in {"(unset)": plain, **PROFILES}.items():
            yield f"| `{profile}` | " + " | ".join(f"{times.get(name, plain[name]):g}" for name in names) + " |"


class PlanTables(Generated):
    """Every key of a rehearsal plan, one table of the plan after another."""

    def markdown(self) -> Iterator[str]:
        from zdlife.rehearsal.plan import Plan

        yield from self._keys("The plan itself", Plan, "top", doc="Keys that stand before the first table.")
        for name, field in Plan.model_fields.items():
            yield from self._table(name, field)

    def _table(self, name: str, field: FieldInfo) -> Iterator[str]:
        table = _model(field.annotation)
        if table is not None:
            heading = f"`[[{name}]]`" if get_origin(field.annotation) is tuple else f"`[{name}]`"
            yield from self._keys(heading, table, name.replace(".", "-"))
            for inner, inner_field in table.model_fields.items():
                yield from self._table(f"{name}.{inner}", inner_field)

    def _keys(self, heading: str, table: type[BaseModel], anchor: str, doc: str | None = None) -> Iterator[str]:
        plain = {
            field.alias or name: field
            for name, field in table.model_fields.items()
            if _model(field.annotation) is None and not field.exclude
        }
        if not plain:
            return
        words = doc or inspect.cleandoc(table.__doc__ or "").partition(": ")[2]
        yield from (f"(plan-{anchor})=", f"## {heading}", "", words[:1].upper() + words[1:], "")
        yield from ("| key | type | default | |", "|---|---|---|---|")
        for name, field in plain.items():
            yield f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {field.description} |"
        yield ""


class TransitionTable(Generated):
    """The table of `zdlife.machine.phases`, as it stands."""

    def markdown(self) -> Iterator[str]:
        yield from ("| in | when | if | then | and |", "|---|---|---|---|---|")
        for row in rows():
            yield "| " + " | ".join(row) + " |"


class TransitionDrawing(SphinxDirective):
    """The same table, drawn: the phases from top to bottom, and each way from one to another."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", drawing(), format="html")]


class Results(Generated):
    """What `python3 noxfile.py -s matrix` found, from docs/results.json."""

    def markdown(self) -> Iterator[str]:
        file = Path(self.env.srcdir, "results.json")
        self.env.note_dependency(str(file))
        found = json.loads(file.read_text())
        setting = found["setting"]
        yield from (f"Rehearsed on {setting['date']}: {setting['machine']}; {setting['versions']}.", "")
        for balancer in dict.fromkeys(row["balancer"] for row in found["rows"]):
            yield from (f"## Behind {balancer}", "")
            yield "| server | lost with zdlife | lost without | how, without | streams, uploads whole | exit codes |"
            yield "|---|--:|--:|---|---|---|"
            for row in found["rows"]:
                if row["balancer"] == balancer:
                    yield self._row(row, row["control"])
            yield ""

    @staticmethod
    def _row(row: dict[str, Any], control: dict[str, Any] | None) -> str:
        def lost(of: dict[str, Any]) -> str:
            return (
                "aborted"
                if of["verdict"] == "aborted"
                else f"{of['requests']['failed']:,} of {of['requests']['sent']:,}"
            )

        def whole(of: dict[str, Any]) -> str:
            return ", ".join(f"{of[kind]['ok']} of {of[kind]['sent']}" for kind in ("streams", "uploads"))

        how = (
            ", ".join(f"{number} {name}" for name, number in control["requests"]["by_failure"].items())
            if control
            else ""
        )
        cells = (row["server"], f"**{lost(row)}**", lost(control) if control else "", how or "–", whole(row))
        return f"| {' | '.join(cells)} | {', '.join(row['exit_codes'])} |"


class CommandLine(Generated):
    """Every command with its arguments and options."""

    def markdown(self) -> Iterator[str]:
        import typer

        from zdlife.cli.main import app

        top: Any = typer.main.get_command(app)
        for name, command in sorted(top.commands.items()):
            arguments = " ".join(p.name.upper() for p in command.params if p.param_type_name == "argument")
            yield from (f"## `{f'zdlife {name} {arguments}'.rstrip()}`", "")
            yield from (inspect.cleandoc(command.help or ""), "", "| option | |", "|---|---|")
            for option in command.params:
                if option.param_type_name == "option" and not option.hidden:
                    spelled = ", ".join(f"`{word}`" for word in option.opts)
                    value = "" if option.is_flag else f" {option.metavar or 'NUMBER'}"
                    yield f"| {spelled}{value} | {_cell(option.help or '')} |"
            yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _type(annotation: Any) -> str:
    """Return how a value is written, for somebody who writes it."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_type(part) for part in get_args(annotation) if part is not NoneType)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "table of text"
    known = {
        float: "seconds",
        int: "number",
        str: "text",
        SecretStr: "text",
        bool: "true or false",
        Any: "any value",
    }
    return known.get(annotation, "path" if getattr(annotation, "__name__", "") == "Path" else str(annotation))


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "needed" if field.is_required() else ""
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the table that a key holds, if it holds one."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directives."""
    app.add_directive("zdlife-settings", SettingsTable)
    app.add_directive("zdlife-profiles", ProfilesTable)
    app.add_directive("zdlife-plan", PlanTables)
    app.add_directive("zdlife-transitions", TransitionTable)
    app.add_directive("zdlife-drawing", TransitionDrawing)
    app.add_directive("zdlife-commands", CommandLine)
    app.add_directive("zdlife-results", Results)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
