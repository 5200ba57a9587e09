"""What one worker does for the whole instance, once: who does it is settled on the board.

An errand is one row of the board's header: what it is, who does it, and when it was done. It is taken under the board's
lock. A worker that dies half way leaves the row with a process that is gone, and the next that looks takes it over.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

from zdlife.process.board import Board, process_lives
from zdlife.process.layout import ERRAND_WORDS, ERRANDS, MOST_ERRANDS

ROWS_OF_ERRANDS = range(ERRANDS, ERRANDS + MOST_ERRANDS * ERRAND_WORDS, ERRAND_WORDS)


class Errands:
    """The errands of one instance, as the worker `pid` sees them; not for two threads at once."""

    def __init__(self, board: Board, *, pid: int) -> None:
        self._board = board
        self._pid = pid

    def take(self, what: str) -> Literal["ours", "another's", "done"]:
        """Take the errand `what` if nobody has it, and say whose it is."""
        board, mark = self._board, mark_of(what)
        with board.locked():
            row = self._find_or_make(mark)
            if row is None:
                return "ours"  # No row is left: to do it twice is better than never.
            if board.times[row + 2]:
                return "done"
            owner = board.words[row + 1]
            if owner not in (0, self._pid) and process_lives(owner):
                return "another's"
            board.words[row], board.words[row + 1] = mark, self._pid
            return "ours"

    def end(self, what: str, now: float) -> None:
        """Record that the errand is done, for every worker there is and will be."""
        with self._board.locked():
            row = self._find(mark_of(what))
            if row is not None:
                self._board.times[row + 2] = now

    def drop(self, what: str) -> None:
        """Let another worker take the errand, if this one has it."""
        with self._board.locked():
            row = self._find(mark_of(what))
            if row is not None and self._board.words[row + 1] == self._pid:
                self._board.words[row + 1] = 0

    def _find(self, mark: int) -> int | None:
        """Return the first word of the errand's row, or None where it has none."""
        return next((row for row in ROWS_OF_ERRANDS if self._board.words[row] == mark), None)

    def _find_or_make(self, mark: int) -> int | None:
        """Return the first word of the errand's row, or of an empty one, or None where all are others' and not done.

        Where none is empty, one that was done the longest ago is emptied: of a release before, for the most part.
        """
        board, found = self._board, self._find(mark)
        if found is None:
            found = self._find(0)
        if found is None:
            done = [(board.times[row + 2], row) for row in ROWS_OF_ERRANDS if board.times[row + 2]]
            _, found = min(done, default=(0.0, None))
            for word in () if found is None else range(found, found + ERRAND_WORDS):
                board.words[word] = 0
        return found


def mark_of(what: str) -> int:
    """Return the number that stands for `what` on the board."""
    return int.from_bytes(blake2b(what.encode(), digest_size=8).digest(), "big") or 1
