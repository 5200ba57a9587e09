"""`zdlife rehearse PLAN`: roll a real application under load, and count what was lost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def rehearse(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan, a TOML file.", show_default=False)],
    *,
    server: Annotated[
        list[str] | None,
        typer.Option(
            "--server", metavar="NAME", help="A server to rehearse on; repeatable, or all.", show_default=False
        ),
    ] = None,
    balancer: Annotated[
        list[str] | None,
        typer.Option(
            "--balancer",
            metavar="NAME",
            help="direct, haproxy or nginx; repeatable, or all.",
            show_default=False,
        ),
    ] = None,
    rolls: Annotated[
        int | None, typer.Option("--rolls", min=1, help="Replacements in all, there and back.", show_default=False)
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.1, help="Requests a second.", show_default=False)
    ] = None,
    instances: Annotated[
        int | None, typer.Option("--instances", min=1, help="Instances that are ready at a time.", show_default=False)
    ] = None,
    without_zdlife: Annotated[
        bool, typer.Option("--without-zdlife", help="Run the bare application only: what a rehearsal is compared with.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout, and everything else on stderr.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html", help="Write a page with the timelines.", show_default=False),
    ] = None,
) -> None:
    """Replace a real application release by release under load, and count what was lost.

    Exit code 0: nothing was lost, or served by a worker that was not ready. 1: something was, or there is no verdict.
    2: it could not be done as asked.
    """
    from zdlife.rehearsal.plan import read
    from zdlife.rehearsal.presentation import Outlets, present
    from zdlife.rehearsal.trials import Order, balancers, servers

    read_plan = read(plan)
    order = Order(
        servers=servers(read_plan, named=server or []),
        balancers=balancers(read_plan, named=balancer or []),
        with_zdlife=not without_zdlife,
        rolls=rolls,
        rate=rate,
        instances=instances,
    )
    raise typer.Exit(present(read_plan, order, outlets=Outlets(as_json=as_json, report=report)))
