"""`zdlife status [ADDRESS]`: how an instance is, as its workers see it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from zdlife.errors import WrongUse


def status(
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]",
            help="The management port: a port, host:port or a URL; 127.0.0.1 and ZDLIFE_MANAGEMENT_PORT by default.",
            show_default=False,
        ),
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it every second, until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout, and everything else on stderr.")
    ] = False,
    board: Annotated[
        Path | None,
        typer.Option(
            "--board", metavar="FILE", help="Read the page that spawned workers share instead.", show_default=False
        ),
    ] = None,
) -> None:
    """Show the phase, the workers, the checks, the warmers and what is in flight of a running instance.

    Exit code 0: it is ready. 1: it is not. 2: nothing answers there, or it was not asked for as it should be.
    """
    from zdlife.status import present
    from zdlife.status.ask import PORT_VARIABLE, address_of, ask, of_page

    if watch and as_json:
        raise WrongUse("--watch goes on and --json prints one object. Choose one of them.")
    if board is not None and address is not None:
        raise WrongUse(f"an instance is asked at {address} or read from {board}. Name one of them.")
    if board is not None:
        source = partial(of_page, board)
    else:
        source = partial(ask, address_of(address, port=os.environ.get(PORT_VARIABLE)))
    raise typer.Exit(present.watch(source) if watch else present.present(source, as_json=as_json))
