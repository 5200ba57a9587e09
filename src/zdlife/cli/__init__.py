"""The command `zdlife`: one module a command. What a command needs is imported when it is called."""

from __future__ import annotations

import sys

WRONG_USE = 2
INTERRUPTED = 130


def run() -> None:
    """Run the command line and end the process with its exit code: 0 good, 1 the answer is no, 2 wrong use."""
    sys.exit(outcome(sys.argv[1:]))


def outcome(arguments: list[str]) -> int:
    """Return the exit code for these arguments. What is wrong with them is one line on stderr."""
    from zdlife.cli.extras import missing_extra
    from zdlife.errors import MissingExtra, WrongUse

    try:
        from zdlife.cli.main import main

        return main(arguments)
    except (WrongUse, MissingExtra) as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        absent = missing_extra(error)
        if absent is None:
            raise
        return _complain(str(absent))
    except KeyboardInterrupt:
        return _complain("interrupted", code=INTERRUPTED)


def _complain(message: str, *, code: int = WRONG_USE) -> int:
    sys.stderr.write(f"zdlife: {message}\n")
    return code
