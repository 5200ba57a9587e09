"""The rules of leaving and arriving, as values.

This room is pure: no clock, no I/O, no thread, no logging. Events and the time go in, effects come out; `now` is always
monotonic seconds and never less than at the call before. Everything that must be right is here and is explored
exhaustively in `tests/unit/machine`.
"""
