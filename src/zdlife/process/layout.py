"""Where each word of an instance's page lies: its header, and the seats of its workers."""

from __future__ import annotations

import struct

from zdlife.machine.phases import Phase

MAGIC = 0x5A444C4946450002  # "ZDLIFE", layout 2
PHASES = tuple(Phase)
RANK = {phase: rank for rank, phase in enumerate(PHASES)}
WORD = 8
SEATS = 128
ROWS = 32
ROW_WORDS = 16
NOTE_BYTES = 4096
FACTS_BYTES = 8192

# The instance's words.
MARK, PHASE, ASKED_AT, SETTLE_ENDED_AT, FOLDED_BEGUN, LOST_WORKERS, LAST_ARRIVAL = range(7)
EXPECTED, READY_AT, HELD_AT, MANAGED, REVIVED_AT, SHORT_SINCE = range(7, 13)
ENTERED = 16  # and one for each phase
ERRANDS, ERRAND_WORDS, MOST_ERRANDS = 24, 3, 16
HEADER_WORDS = 80
# The words of a seat.
PID, BEAT, BEGUN, IN_FLIGHT, SEAT_ARRIVAL, RELEASED, ASKED, NOTE_SIZE, STANDS = range(9)
ABLE, SEAT_RELEASE, LOOP_BEAT, FACTS = range(9, 13)
SEAT_HEADER_WORDS = 16
SEAT_WORDS = SEAT_HEADER_WORDS + ROWS * ROW_WORDS + (NOTE_BYTES + FACTS_BYTES) // WORD
SIZE_BYTES = WORD * (HEADER_WORDS + SEATS * SEAT_WORDS)

ROW = struct.Struct("@d120s")  # Native: each word is stored whole, where the standard formats go byte by byte.
COUNTS = struct.Struct("@QQd")
"""A seat's `BEGUN`, `IN_FLIGHT` and `SEAT_ARRIVAL`, which lie side by side and are written at once."""
