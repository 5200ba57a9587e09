"""The commands, put together. Each is in a module of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from zdlife.cli import INTERRUPTED
from zdlife.cli.rehearse import rehearse
from zdlife.cli.status import status
from zdlife.errors import WrongUse
from zdlife.version import __version__

app = typer.Typer(
    name="zdlife",
    help="The application's half of a zero-downtime deployment.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(rehearse)
app.command()(status)


def main(arguments: list[str]) -> int:
    """Return the exit code of a command line.

    Raises:
        WrongUse: an option, a command or a value that cannot be; the message is one line.
    """
    try:
        code = app(arguments or ["--help"], prog_name="zdlife", standalone_mode=False)
    except typer.TyperException as error:
        raise WrongUse(f"{error.format_message().rstrip('.?')}. See zdlife --help.") from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    if code == INTERRUPTED:
        # typer turns Ctrl-C into this code, and says nothing.
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _say_version(wanted: bool) -> None:  # noqa: FBT001  typer calls it so
    if wanted:
        typer.echo(f"zdlife {__version__}")
        raise typer.Exit


@app.callback()
def _zdlife(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Roll out and roll back without a user noticing."""
