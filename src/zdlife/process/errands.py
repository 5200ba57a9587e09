"""What one worker does for the whole instance, once: who does it is settled on the board.

An errand is one row of the board's header: what it is, who does it, and when it was done. It is taken under the board's
lock. A worker that dies half way leaves the row with a process that is gone, and the next that looks takes it over.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

from zdlife.process.board import Board, process_lives
from zdlife.process.layout import ERRAND_WORDS, ERRANDS, MOST_ERRANDS


class Errands:
    """The errands of one instance, as the worker `pid` sees them; not for two threads at once."""

    def __init__(self, board: Board, *, pid: int) -> None:
        self._board = board
        self._pid = pid

    def take(self, what: str) -> Literal["ours", "another's", "done"]:
        """Take the errand `what` if nobody has it, and say whose it is."""
        board, mark = self._board, mark_of(what)
        with board.locked():
            row = self._row(mark)
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
            row = self._row(mark_of(what))
            if row is not None:
                self._board.times[row + 2] = now

    def drop(self, what: str) -> None:
        """Let another worker take the errand, if this one has it."""
        with self._board.locked():
            row = self._row(mark_of(what))
            if row is not None and self._board.words[row + 1] == self._pid:
                self._board.words[row + 1] = 0

    def _row(self, mark: int) -> int | None:
        """Return the first word of the errand's row, or of an empty one, or None where all are others'.

        Where none is empty, one that was done the longest ago is emptied: of a release before, for the most part.
        """
        empty, done = None, []
        for number in range(MOST_ERRANDS):
            row = ERRANDS + number * ERRAND_WORDS
            found = self._board.words[row]
            if found == mark:
                return row
            if found == 0 and empty is None:
                empty = row
            if self._board.times[row + 2]:
                done.append((self._board.times[row + 2], row))
        if empty is None and done:
            _, empty = min(done)
            for word in range(empty, empty + ERRAND_WORDS):
                self._board.words[word] = 0
        return empty


def mark_of(what: str) -> int:
    """Return the number that stands for `what` on the board."""
    return int.from_bytes(blake2b(what.encode(), digest_size=8).digest(), "big") or 1
