"""Is there room where the application writes?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from zdlife.errors import CheckFailed, WrongUse
from zdlife.machine.checks import Caution


@dataclass(frozen=True, slots=True)
class Room:
    """What one kind of thing a file system has room for: how many are free to those who are not root, of how many."""

    noun: str
    free: int
    total: int

    @property
    def share(self) -> float:
        return self.free / self.total

    def __str__(self) -> str:
        return f"{self.share:.1%} of its {self.noun} free ({_short(self.free)} of {_short(self.total)})"


def disk(
    path: str | os.PathLike[str],
    *,
    free_bytes: int = 0,
    free_share: float = 0.05,
    inode_share: float = 0.05,
    caution: float = 2.0,
) -> Callable[[], Caution | None]:
    """Return a check that the file system of `path` has room: it fails below any of the three thresholds.

    `free_bytes`, `free_share` of its bytes and `inode_share` of its inodes are to be free; 0 asks nothing, and inodes
    are not asked of a file system that makes them as it needs them. Below `caution` times a threshold it passes with a
    caution; 1 means none.

    A run costs one statvfs, writes nothing, and waits as long as the file system does: a lost network share may hold it
    for ever. Any thread may run it.

    Raises:
        WrongUse: here, not in the check, when an argument cannot be used.
        CheckFailed: from the check, also when there is no such path.
    """
    shown = os.fspath(path)
    if free_bytes < 0:
        raise WrongUse(f"free_bytes={free_bytes!r} should be 0 or more.")
    for name, share in (("free_share", free_share), ("inode_share", inode_share)):
        if not 0 <= share < 1:
            raise WrongUse(f"{name}={share!r} should be a share from 0 to below 1, such as 0.05.")
    if not 1 <= caution < float("inf"):
        raise WrongUse(f"caution={caution!r} should be 1 or more: it is so many times the threshold that fails.")

    def check() -> Caution | None:
        try:
            found = os.statvfs(path)
        except OSError as error:
            raise CheckFailed(f"{shown}: {error.strerror}") from error
        size = found.f_frsize
        # As df counts: what is kept for root is neither free nor there.
        room = Room("bytes", found.f_bavail * size, (found.f_blocks - found.f_bfree + found.f_bavail) * size)
        inodes = Room("inodes", found.f_favail, found.f_files - found.f_ffree + found.f_favail)
        return judge(
            shown, ((room, max(free_bytes, free_share * room.total)), (inodes, inode_share * inodes.total)), caution
        )

    return check


def judge(shown: str, rooms: tuple[tuple[Room, float], ...], caution: float) -> Caution | None:
    """Return a caution for the first room that is short of `caution` times its threshold, and raise below that.

    Raises:
        CheckFailed: a room is short of its threshold.
    """
    known = [(room, threshold) for room, threshold in rooms if room.total > 0]
    for room, threshold in known:
        if room.free < threshold:
            raise CheckFailed(f"{shown} has {room}, less than {_short(threshold)}")
    for room, threshold in known:
        if room.free < caution * threshold:
            return Caution(f"{shown} has {room}; it fails below {_short(threshold)}")
    return None


def _short(number: float) -> str:
    """Return a number as it is read at a glance: 999, 4.0 k, 1.5 G."""
    for sign in ("", " k", " M", " G", " T"):
        if number < 1000:
            return f"{number:.3g}{sign}"
        number /= 1000
    return f"{number:.3g} P"
