"""Carry out an order while it is watched, then say what came of it: as a table, as JSON, as a page."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from zdlife.errors import WrongUse
from zdlife.rehearsal.live import view_on
from zdlife.rehearsal.plan import Plan
from zdlife.rehearsal.record import record
from zdlife.rehearsal.result import Trial
from zdlife.rehearsal.summary import print_summary
from zdlife.rehearsal.tally import overall
from zdlife.rehearsal.trials import Order, check, trials


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where the result goes, besides the table. With `as_json` stdout holds one object, and nothing else."""

    as_json: bool = False
    report: Path | None = None


def present(plan: Plan, order: Order, *, outlets: Outlets) -> int:
    """Return the exit code of a rehearsal: 0 if nothing was lost or served cold, 1 if something was, or no verdict.

    Raises:
        WrongUse: it cannot be carried out, or the report cannot be written; nothing has begun then.
        MissingExtra: the report needs a package that is not installed; nothing has begun then.
    """
    console = Console(stderr=outlets.as_json, highlight=False)
    write = _writer(outlets.report)
    check(plan, order)
    with view_on(console, runs=order.runs(plan)) as view:
        found = asyncio.run(trials(plan, order, watch=view.show, finish=view.finish))
    print_summary(console, trials=found)
    if outlets.as_json:
        sys.stdout.write(json.dumps(record(found), indent=2) + "\n")
        sys.stdout.flush()
    if write is not None:
        write(found)
        Console(stderr=True, highlight=False).print(f"The report is in {outlets.report}", soft_wrap=True, markup=False)
    return 0 if overall(found) == "nothing lost" else 1


def _writer(file: Path | None) -> Callable[[Sequence[Trial]], None] | None:
    """Return what writes the report, having made sure that it can, since a rehearsal is long."""
    if file is None:
        return None
    from zdlife.rehearsal.report import render

    folder = file.absolute().parent
    target = file if file.exists() else folder
    if file.is_dir() or not folder.is_dir() or not os.access(target, os.W_OK):
        raise WrongUse(
            f"the report cannot be written to {file}. Name a file in a folder that exists and is yours to write."
        )

    def write(found: Sequence[Trial]) -> None:
        file.write_text(render(found, command=shlex.join(["zdlife", *sys.argv[1:]])), encoding="utf-8")

    return write
