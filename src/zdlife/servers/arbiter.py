"""gunicorn's master: it settles for all its workers, and reports on the instance.

The master's main loop goes on reaping and spawning workers while it settles, because its own `handle_term` runs only
when zdlife's turn is over. No thread is started here: gunicorn forks from this process. Time passes with the turns of
the main loop, which an interval timer wakes while there is something to wait for.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import Any

from zdlife.errors import BudgetError
from zdlife.machine.budget import ServerDeadline, limits_of, misfits
from zdlife.machine.phases import Effect, Event, Machine, Phase, Reading
from zdlife.machine.readiness import Surroundings, instance
from zdlife.process import report
from zdlife.process.board import Board
from zdlife.process.listener import is_lent, queued, stop_new_connections
from zdlife.process.seat import Seat
from zdlife.process.siblings import views
from zdlife.servers.workers import place
from zdlife.settings import Settings

logger = logging.getLogger("zdlife.servers")
TICK = 0.05
GUNICORN_DEFAULT_TIMEOUT = 30


class Conductor:
    """Stands before one arbiter's handlers of SIGTERM and SIGINT. Runs in the master's main loop alone."""

    def __init__(self, settings: Settings, server: Any) -> None:
        self.settings = settings
        self.board = place.board = Board.inherited()
        self.late = report.LateArrivals()
        self._cut: list[dict[str, Any]] = []
        self._forced: str | None = None
        self._limits = limits_of(settings)
        self._machine = Machine(self._limits, monotonic())
        self.board.publish(Phase.STARTING, monotonic())
        self._queue_deadline = 0.0
        self._server = server
        self._own_term: Callable[[], None] = server.handle_term
        self._own_int: Callable[[], None] = server.handle_int
        self._own_kill: Callable[[int, int], None] = server.kill_worker
        self._own_murder: Callable[[], None] = server.murder_workers
        self._own_reap: Callable[[], None] = server.reap_workers
        self._kept: set[int] = set()
        self._own_signal: Callable[[int, Any], None] = server.signal
        self.release = settings.release(leader_pid=server.pid or None)

    def take_place(self) -> None:
        """Take zdlife's turn in this arbiter, before it sets its signal handlers; at `on_starting`."""
        server = self._server
        server.signal = self._signal
        server.handle_term = lambda: self.receive(Event.TERM)
        server.handle_int = lambda: self.receive(Event.INTERRUPT)
        server.murder_workers = self._let_time_pass
        server.kill_worker = self._kill_worker
        server.reap_workers = self._reap_workers
        self.check_timeouts()

    def check_timeouts(self) -> None:
        """Give gunicorn's graceful timeout the time that drain and cleanup need; at the start and at each reload.

        Raises:
            BudgetError: the times do not fit and `strict` is set.
        """
        needed = ceil(self._limits.drain + self._limits.cleanup) + 1
        given = self._server.cfg.graceful_timeout
        if given in (GUNICORN_DEFAULT_TIMEOUT, needed):
            self._server.cfg.set("graceful_timeout", needed)
            given = needed
        for found in misfits(
            self._limits, server=ServerDeadline("graceful_timeout", given, covers=("drain", "cleanup"))
        ):
            if self.settings.strict:
                raise BudgetError(found.message)
            self._server.log.warning("zdlife: %s", found.message)

    def ready(self) -> None:
        """Say that the arbiter listens; at `when_ready`."""
        signal.signal(signal.SIGALRM, lambda _signum, _frame: self._server.wakeup())
        self.release = self.settings.release(leader_pid=self._server.pid)
        self.receive(Event.LOADED)

    def seat(self, worker: Any) -> None:
        """Keep a place on the board for a worker that is about to be forked."""
        worker.zdlife_seat = self.board.claim(self._server.pid)
        if worker.zdlife_seat is None:
            self._server.log.warning("zdlife: no seat is left for this worker; it will not settle with the others.")

    def reap(self, worker: Any) -> None:
        """Fold the seat of a worker that has ended, and take its note; at `child_exit`."""
        seat: Seat | None = getattr(worker, "zdlife_seat", None)
        if seat is not None and seat.pid:
            self._fold(seat)

    def stopped(self) -> None:
        """Write the instance's report; at `on_exit`, when the workers are gone."""
        for seat in list(self.board.seats()):
            self._fold(seat)
        self.receive(Event.SERVER_DONE)
        self.receive(Event.CLEANED_UP)

    def receive(self, event: Event) -> None:
        """Advance by one event and do what follows from it."""
        self.board.expect(self._server.num_workers)
        if self._machine.state.phase is Phase.WARMING and self._workers_are_ready():
            self._advance(Event.WARMED)
        state = self._machine.state
        leaving_listener = event is Event.TICK and state.phase is Phase.DRAINING and state.listening
        if leaving_listener and (self._queue_is_empty() or monotonic() >= self._queue_deadline):
            event = Event.LISTENER_LEFT
        self._advance(event)

    def _workers_are_ready(self) -> bool:
        now = monotonic()
        around = Surroundings(expected=self.board.expected, at_least=self.settings.ready_workers)
        ready = instance([*views(self.board, now)], around=around, now=now).ready
        if ready:
            self.board.note_ready(now)
        return ready

    def _advance(self, event: Event) -> None:
        for effect in self._machine.receive(event, monotonic(), self._read()):
            self._perform(effect)

    def _read(self) -> Reading:
        board = self.board
        return Reading(board.in_flight, board.last_arrival, board.begun, lingering=False, asked_at=board.asked_at)

    def _perform(self, effect: Effect) -> None:
        state = self._machine.state
        match effect:
            case Effect.PUBLISH:
                self.board.publish(state.phase, monotonic())
                if state.settle_ended_at is not None:
                    self.board.end_settle(state.settle_ended_at)
                if state.phase in (Phase.SETTLING, Phase.DRAINING):
                    signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
                logger.info("phase changed", extra={"zdlife": {"phase": state.phase.value, **self.release.as_dict()}})
            case Effect.LEAVE_LISTENER:
                self._queue_deadline = monotonic() + self._limits.drain / 2
                if not self._socket_outlives():
                    for listener in self._server.LISTENERS:
                        stop_new_connections(listener.sock)
            case Effect.HAND_OVER:
                signal.setitimer(signal.ITIMER_REAL, 0)
                self._give_what_is_left()
                self._own_term()
            case Effect.FORCE:
                signal.setitimer(signal.ITIMER_REAL, 0)
                self._own_int()
            case Effect.REPORT:
                self._report()
            case _:
                pass  # What else there is to do is done in the workers.

    def _socket_outlives(self) -> bool:
        """Whether somebody else goes on accepting: who lent the socket, or the other master of an upgrade (USR2)."""
        server = self._server
        return (
            bool(server.systemd or server.master_pid or server.reexec_pid or _is_bound_to_descriptor(server))
            or is_lent()
        )

    def _queue_is_empty(self) -> bool:
        return self._socket_outlives() or all(queued(listener.sock) == 0 for listener in self._server.LISTENERS)

    def _give_what_is_left(self) -> None:
        """Let gunicorn's own deadline end inside the grace period, however late its stop begins."""
        state = self._machine.state
        if state.asked_at is not None:
            left = state.asked_at + self._limits.grace - monotonic()
            self._server.cfg.set("graceful_timeout", max(1, min(self._server.cfg.graceful_timeout, int(left))))

    def _signal(self, signum: int, frame: Any) -> None:
        """Turn readiness red in the signal's own moment, even while the main loop waits in a reload."""
        if signum in (signal.SIGTERM, signal.SIGINT) and os.getpid() == self._server.pid:
            self.board.ask(monotonic())  # And not in a worker that has only just been forked.
        self._own_signal(signum, frame)

    def _let_time_pass(self) -> None:
        """Stand in for what the main loop does in each of its turns."""
        self._own_murder()
        self.receive(Event.TICK)

    def _kill_worker(self, pid: int, signum: int) -> None:
        """Let the worker know that this SIGTERM is its master's and means now; one that is still needed is kept."""
        worker = self._server.WORKERS.get(pid)
        seat: Seat | None = getattr(worker, "zdlife_seat", None)
        if signum == signal.SIGTERM and seat is not None:
            if self._is_needed(worker, seat):
                self._kept.add(pid)  # gunicorn asks again in every turn.
                return
            self._kept.discard(pid)
            seat.release()
        self._own_kill(pid, signum)

    def _is_needed(self, worker: Any, seat: Seat) -> bool:
        """Whether a worker has arrived and is to be replaced, by a reload, by others that have not.

        Where all of these have died on their way, the old ones stay; where some have, the rest is made once the old
        ones are gone.
        """
        stops = not (self._server.LISTENERS and self._server.num_workers)  # gunicorn has given up, or is to have none.
        if stops or self.board.leaving or seat.released or seat.phase is not Phase.READY:
            return False
        workers = tuple(self._server.WORKERS.values())  # Up to gunicorn 23, a signal handler takes some out meanwhile.
        successors = [getattr(other, "zdlife_seat", None) for other in workers if other.age > worker.age]
        arrived = sum(1 for found in successors if found is None or found.phase is Phase.READY)
        return arrived == 0 or arrived < min(len(successors), self._server.num_workers)

    def _reap_workers(self) -> None:
        """Let go who was kept and is not needed any more: a reload waits here, turn by turn, for its old workers."""
        self._own_reap()
        for pid in tuple(self._kept):
            if pid in self._server.WORKERS:
                self._kill_worker(pid, signal.SIGTERM)
            else:
                self._kept.discard(pid)

    def _fold(self, seat: Seat) -> None:
        """Add up what a worker did. One without a note was killed: what it held is named by its rows."""
        note = seat.note
        remains = self.board.fold(seat, pid=seat.pid, lost=not note and seat.begun > 0)
        if remains is None:
            return
        if note:
            told = json.loads(note)
            self.late.merge(told["late"])
            self._cut.extend(told["cut"])
            self._forced = self._forced or told["forced"]
            return
        now = monotonic()
        for row in remains.in_flight:
            named = {**row, "age": round(now - row["began"], 3), "stack": [], "pid": remains.pid}
            del named["began"]
            self._cut.append(named)
            self._server.log.error("zdlife: a worker was killed with work in flight: %s", json.dumps(named))

    def _report(self) -> None:
        report.write(
            report.compose(
                self._machine,
                monotonic(),
                reading=self._read(),
                release=self.release,
                server=f"gunicorn {self._server.cfg.worker_class_str}",
                late=self.late,
                cut=self._cut,
                lost_workers=self.board.lost_workers,
                forced=self._forced,
            ),
            to=self.settings.report,
        )


def _is_bound_to_descriptor(server: Any) -> bool:
    return any(isinstance(address, int) for address in server.cfg.address)
