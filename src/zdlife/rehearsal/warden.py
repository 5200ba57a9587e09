"""Ends every process group it has been told of once nobody tells it anything any more.

A program of its own, run by its path and without zdlife: `python -I -S warden.py`. It reads lines from standard input,
`+PGID` when a group was started and `-PGID` when it was buried. At the end of the input, which comes by any death of
the rehearsal (SIGKILL too), it kills the groups that are left. PR_SET_PDEATHSIG would reach the first process of a
group only, and only on Linux.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def watch(lines: Iterable[str]) -> set[int]:
    """Return the groups that were started and not buried when the lines end."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def main() -> None:
    """Watch, then kill."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for group in watch(sys.stdin):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
