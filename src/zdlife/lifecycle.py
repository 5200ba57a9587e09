"""Lifecycle: the one object a process holds. It wires the rooms together and decides nothing itself."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from math import inf
from time import monotonic
from typing import Any, Literal, Protocol, TypeVar

from zdlife.errors import BudgetError
from zdlife.machine.budget import limits_of, misfits
from zdlife.machine.checks import CheckRule, Kind
from zdlife.machine.phases import Effect, Event, Machine, Phase, Reading
from zdlife.machine.warming import WarmerRule
from zdlife.process import report
from zdlife.process.account import Account
from zdlife.process.board import Board
from zdlife.process.hooks import Hooks
from zdlife.process.host import Host
from zdlife.process.inflight import InFlight, describe
from zdlife.process.latch import Latch
from zdlife.process.monitor import Monitor
from zdlife.process.presence import Presence, about
from zdlife.process.pulse import Pulse
from zdlife.process.readiness import Readiness, arrival
from zdlife.process.report import LateArrivals
from zdlife.process.seat import Seat
from zdlife.release import Release
from zdlife.settings import Settings, load_settings

logger = logging.getLogger("zdlife.lifecycle")
BETWEEN_REASSURANCES = 0.5
HookT = TypeVar("HookT", bound=Callable[..., Any])


class Companion(Protocol):
    """What a higher room has living with this process: the management port, say. It is begun once the monitor runs."""

    def begin(self) -> None:
        """Begin, in the process that serves; nothing happens the second time."""

    def end(self) -> None:
        """End, as the last of all; takes half a second at most."""


class Lifecycle:
    """One application's life in this process, from `starting` to `stopped`.

    Make one where the application is made and pass it to the middleware. It does nothing until a server runs it: no
    thread, no signal handler, no file. Everything public here is safe from any thread and any task.
    """

    def __init__(self, settings: Settings | None = None, *, release: Release | None = None) -> None:
        self.settings = settings or load_settings()
        self.release = release or self.settings.release()
        self.inflight = InFlight(request_id_header=self.settings.request_id_header)
        self.board = Board.anonymous()
        self.host: Host | None = None
        self.hooks = Hooks()
        self.goodbyes: list[Callable[[], None]] = []
        self.companions: list[Companion] = []
        self.waits_for_lifespan = False
        self._given_release = release is not None
        self._limits = limits_of(self.settings)
        self._made_at = monotonic()
        self._made_in = self._lives_in = os.getpid()
        self._machine = Machine(self._limits, self._made_at)
        self._loaded = False
        self._leaving = False
        self._seat: Seat | None = None
        self._monitor: Monitor | None = None
        self._account = Account()
        self._queue_deadline = inf
        self._signalled_at: float | None = None
        self._is_ready = threading.Event()
        self._hooks_done = Latch()
        self._stopped = Latch()
        self.readiness = Readiness(wake=self._wake, release=lambda: self.release.version)
        self.presence = self._take_place()
        self._told_arrival = False

    # What a service uses.

    @property
    def phase(self) -> Phase:
        """Where this worker stands, or its instance where that leaves and this worker has not heard yet."""
        return self.presence.phase

    @property
    def ready(self) -> bool:
        """Whether this instance is welcome to requests; False from the moment a stop signal arrives."""
        return self.presence.standing(monotonic()).ready

    @property
    def leaving(self) -> bool:
        """Whether responses should close their connections: this process is on its way out."""
        return self._leaving or self.board.leaving

    def working(self, name: str) -> AbstractContextManager[None]:
        """Hold a named piece of background work in flight for the length of the block: the drain waits for it."""
        return self.inflight.working(name)

    def check(
        self,
        name: str,
        *,
        timeout: float = 2.0,
        interval: float = 5.0,
        kind: Kind = "required",
        fall: int = 3,
        rise: int = 2,
    ) -> Callable[[HookT], HookT]:
        """Watch a dependency by the decorated function, every `interval` seconds, each run at most `timeout` seconds.

        A `def` is called in a thread of its own, which is kept from run to run; an `async def` in the application's
        loop. It passes by returning None or True and fails by returning False or raising; a `Caution` passes and is
        reported. It is never called twice at once, and never by a probe.

        `required`: while it is down the instance is not ready. `degrades`: it is reported. `shared`: every instance has
        the same one, so it is reported and takes no instance out alone. Down after `fall` failures in a row, up after
        `rise` passes; before the first ready at once.

        Raises:
            WrongUse: a value cannot be used, or there is a check of that name already.
        """
        rule = CheckRule(name, kind=kind, timeout=timeout, interval=interval, fall=fall, rise=rise)

        def watch(function: HookT) -> HookT:
            self.readiness.check(rule, function)
            return function

        return watch

    def warm(
        self,
        name: str,
        *,
        deadline: float = 20.0,
        on_deadline: Literal["ready", "unready"] = "ready",
        order: int = 0,
        per: Literal["worker", "instance"] = "worker",
    ) -> Callable[[HookT], HookT]:
        """Have the decorated function done before this worker is first ready: fill a cache, open a pool.

        A `def` runs in a thread of zdlife's, an `async def` in the application's loop; it may take a `Warm`, to say how
        far it is. Those of a lower `order` run first. One that raises runs again, so running it twice must do no harm.
        After `deadline` seconds the worker is `ready` without it, or stays `unready` until it has succeeded.

        `per="instance"`: one worker runs it for all, and another takes over if that one dies half way.

        Raises:
            WrongUse: a value cannot be used, or there is a warmer of that name already.
        """
        rule = WarmerRule(name, deadline=deadline, on_deadline=on_deadline, order=order, per=per)

        def warm(function: HookT) -> HookT:
            self.readiness.warmer(rule, function)
            return function

        return warm

    def cache_warmth(
        self,
        name: str,
        *,
        sample: Callable[[], Any],
        minimum: float = 0.8,
        deadline: float = 60.0,
        order: int = 0,
        every: float = 1.0,
    ) -> None:
        """Let this worker be ready only once `sample` has said a hit rate of `minimum`, or `deadline` seconds are over.

        `sample` (`def` or `async def`) is called every so many seconds until then, and returns a rate from 0 to 1 or a
        pair of hits and lookups. Once warm it is not asked again: a cache that empties later takes nothing out.

        Nobody is sent here before it is ready. So the rate must rise without requests: by a warmer of the same or a
        lower `order`, or in a cache that other workers and instances fill.

        Raises:
            WrongUse: a value cannot be used, or there is one of that name already.
        """
        self.readiness.warmer(WarmerRule(name, deadline=deadline, order=order, minimum=minimum, every=every), sample)

    def take_out(self) -> None:
        """Make the instance unready by hand, with the reason `manual`, until `put_back`; it goes on serving."""
        self.board.hold(monotonic())

    def put_back(self) -> None:
        """Let the instance be ready again."""
        self.board.hold(None)

    def on_drain(self, hook: HookT) -> HookT:
        """Call `hook` once when the drain begins: `def` in a thread of its own, `async def` in the application's loop.

        It counts as work in flight, so the drain waits for it.
        """
        self.hooks.on_drain.append(hook)
        return hook

    def on_stop(self, hook: HookT) -> HookT:
        """Call `hook` once when nothing is in flight any more, before the application's own shutdown.

        All stop hooks together have `cleanup` seconds. A hook that raises is logged and the next one runs.
        """
        self.hooks.on_stop.append(hook)
        return hook

    # What a server adapter uses.

    @property
    def begun(self) -> bool:
        """Whether a server runs this lifecycle in this very process."""
        return self._monitor is not None and self._monitor.running

    def begin(
        self,
        host: Host,
        *,
        board: Board | None = None,
        seat: Seat | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        leader_pid: int | None = None,
    ) -> None:
        """Start living under `host`; once per process, and nothing happens the second time.

        `board` and `seat` are this process's place among its siblings, if it has any; `loop` is the application's.

        Raises:
            BudgetError: the times do not fit and `strict` is set.
        """
        if self.begun:
            return
        self.host, self._lives_in = host, os.getpid()
        self.hooks.loop = self.readiness.loop = loop
        # The page of a process before the fork is not ours: what one child writes there outlives it in all the others.
        self.board, self._seat = board or Board.anonymous(), seat
        if board is None:
            self.board.expect(1)
        self.inflight.sit(seat)
        if seat is not None:
            seat.name_requests_by(self.settings.request_id_header)
        if not self._given_release:
            self.release = self.settings.release(leader_pid=leader_pid)
        if not host.conducted:
            self._check_budget(host)
        self._check_workers()
        self._machine = Machine(self._limits, self._made_at if os.getpid() == self._made_in else monotonic())
        self.presence = self._take_place(loop)
        self._monitor = Monitor(
            self._machine, read=self._read, perform=self._perform, happening=self._happening, besides=self._turn
        )
        self._monitor.start()
        host.take_signals(self.post)
        for companion in self.companions:
            companion.begin()

    def join(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the application's coroutines run in `loop`, which was not known when this began."""
        self.hooks.loop = self.readiness.loop = loop
        self.presence.pulse = Pulse(loop, monotonic())

    def _take_place(self, loop: asyncio.AbstractEventLoop | None = None) -> Presence:
        """Return this process's place among its siblings, as far as it is known."""
        return Presence(
            self.readiness,
            machine=self._machine,
            board=self.board,
            seat=self._seat,
            about=about(self.release, self.settings, self.host),
            pulse=None if loop is None else Pulse(loop, monotonic()),
            conducted=self.host is not None and self.host.conducted,
        )

    def loaded(self) -> None:
        """Say that the application is loaded; the warmers and the checks begin, and with none of them it is ready.

        Nothing happens the second time.
        """
        if self._loaded:
            return
        self._loaded = True
        self.post(Event.LOADED)
        if self.begun and not self.readiness.waits:
            self._is_ready.wait(0.5)  # The monitor needs a moment, once in a life; whoever asks next shall be told.

    @property
    def serves_only_warm(self) -> bool:
        """Whether this worker should not accept before it is warm: its instance serves and is sent requests."""
        return self.board.ready_at is not None and not self.board.leaving and not self.readiness.warm.is_open

    def post(self, event: Event) -> None:
        """Hand over an event. Safe in a signal handler.

        A stop signal that is surely meant for the whole instance turns readiness red before this returns; where it may
        be meant for one worker, within half a second.
        """
        if os.getpid() != self._lives_in:
            return  # A child of the application's has inherited the signal handler.
        if event in (Event.TERM, Event.INTERRUPT):
            self._signalled_at = self._signalled_at or monotonic()
            if self._seat is not None:
                self._seat.ask()
            if self.host is None or self.host.alone:
                self.board.ask(monotonic())
        if self._monitor is not None:
            self._monitor.post(event)

    def finish(self, *, within: float | None = None) -> bool:
        """Say that the server has stopped serving, and wait until the stop hooks are done and the report is written.

        Waits for work in flight as long as the drain lasts. Waits at most `within` seconds, by default as long as drain
        and cleanup may take; returns whether it ended.
        """
        if not self.begun:
            return self._stopped.is_open
        limit = self._longest_end if within is None else within
        until = monotonic() + limit
        self.post(Event.SERVER_DONE)
        self._hooks_done.wait(limit)
        self.post(Event.CLEANED_UP)
        return self._stopped.wait(max(0.0, until - monotonic()))

    async def finish_hooks(self) -> None:
        """Say that the server has stopped serving, and wait until the stop hooks are done; never blocks the loop."""
        self.post(Event.SERVER_DONE)
        await self._hooks_done.wait_async(self._longest_end)

    async def finish_async(self) -> None:
        """Say that the application's own shutdown is done too, and wait until the report is written."""
        self.post(Event.CLEANED_UP)
        await self._stopped.wait_async(self.settings.cleanup + 0.5)

    @property
    def _longest_end(self) -> float:
        return self.settings.drain + self.settings.cleanup + 0.5

    @property
    def late(self) -> LateArrivals:
        """The requests that arrived after the settle."""
        return self._account.late

    def arrived_late(self, subject: Any, peer: str | None) -> None:
        """Count a request that arrives while leaving, if the settle is over; `subject` as for `InFlight.begin`."""
        ended = self.board.settle_ended_at
        if ended is not None:
            method, route, _ = describe(subject, self.settings.request_id_header)
            self._account.late.add(delay=monotonic() - ended, peer=peer, method=method, route=route)

    def wait_until_warm(self) -> None:
        """Return once this worker may accept: where its instance serves already, not before it is warm or leaves."""
        until = self._held_until()
        while self.serves_only_warm and monotonic() < until and not self.readiness.warm.wait(BETWEEN_REASSURANCES):
            self._reassure()

    async def until_warm(self) -> None:
        """Wait for the same without blocking the loop."""
        until, warm = self._held_until(), self.readiness.warm
        while self.serves_only_warm and monotonic() < until and not await warm.wait_async(BETWEEN_REASSURANCES):
            self._reassure()

    def _held_until(self) -> float:
        """A cold answer is better than none: not past the moment at which the server stops the worker before this."""
        assert self.host is not None
        return monotonic() + self.host.patience - BETWEEN_REASSURANCES

    def _reassure(self) -> None:
        assert self.host is not None
        self.host.reassure()

    # The machine's surroundings, in the monitor's thread.

    def _wake(self) -> None:
        if self._monitor is not None:
            self._monitor.post(Event.TICK)

    def _turn(self) -> float:
        """Do what is done in each turn of the monitor besides the machine's work; return when it wants the next."""
        wakes = self.presence.turn()
        if self.readiness.arrived_at is not None and not self._told_arrival:
            self._told_arrival = True
            self._report_arrival(monotonic())
        return wakes

    def _report_arrival(self, now: float) -> None:
        assert self.host is not None
        report.write_arrival(
            self._machine,
            now,
            release=self.release,
            server=self.host.name,
            told=arrival(self.readiness.facts(now)),
            to=self.settings.report,
        )

    def _read(self) -> Reading:
        last = self.inflight.last_arrival
        if self._seat is not None:
            last = max(last or 0.0, self.board.last_arrival or 0.0) or None
        held, begun = len(self.inflight), self.inflight.begun
        if self._seat is not None:
            self._seat.correct(begun=begun, in_flight=held)
        lingering = self.host is None or not self.host.lingered()
        return Reading(held, last, begun, lingering, self.board.asked_at or self._signalled_at)

    def _happening(self, event: Event) -> tuple[Event, ...]:
        """Return what `event` means under this host, after what the host or the listener has come to by itself."""
        assert self.host is not None
        state = self._machine.state
        if event is not Event.TICK:
            return (Event.TICK, *self.host.means(event))
        if state.phase is Phase.WARMING and self.readiness.may_arrive(monotonic()):
            return (Event.WARMED, Event.TICK)
        if state.phase is Phase.DRAINING and state.listening:
            left = self.host.queue_is_empty() or monotonic() >= self._queue_deadline
            return (Event.TICK, Event.LISTENER_LEFT) if left else (Event.TICK,)
        return (Event.TICK, *self.host.look())

    def _perform(self, effect: Effect) -> None:
        assert self.host is not None
        self._leaving = self._machine.state.phase.leaving
        match effect:
            case Effect.PUBLISH:
                self._publish()
            case Effect.LEAVE_LISTENER:
                self._queue_deadline = monotonic() + self._limits.drain / 2
                self.host.leave_listener(whole_instance=self._whole_instance_leaves)
            case Effect.SAY_GOODBYE:
                for goodbye in self.goodbyes:
                    goodbye()
                self.hooks.drain(self.inflight, within=self._limits.drain)
            case Effect.HAND_OVER:
                self.host.hand_over()
            case Effect.FORCE:
                self.host.force()
            case Effect.NAME_THE_CUT:
                self._name_the_cut()
            case Effect.CLEAN_UP:
                self.hooks.stop(within=self._limits.cleanup, then=self._after_the_stop_hooks)
            case Effect.REPORT:
                self._report()
            case Effect.EXIT:
                self._end_process()

    @property
    def _whole_instance_leaves(self) -> bool:
        """Whether this worker leaves with all the others, and nobody has been started in its place."""
        return self._machine.state.asked_at is not None and (self._seat is None or self.board.leaving)

    def _publish(self) -> None:
        state = self._machine.state
        if state.phase is Phase.READY:
            self._is_ready.set()
        if self._seat is not None:
            self.presence.tell()  # First that it is able: ready and not able would take the instance out.
            self._seat.publish(state.phase)
        conducted = self.host is not None and self.host.conducted
        if not conducted:
            if state.asked_at is not None:
                self.board.ask(state.asked_at)
            if state.settle_ended_at is not None:
                self.board.end_settle(state.settle_ended_at)
            if self._seat is None or self._whole_instance_leaves:
                self.board.publish(state.phase, monotonic())
        logger.info(
            "phase changed",
            extra={"zdlife": {"phase": state.phase.value, **self.release.as_dict(), "pid": os.getpid()}},
        )

    def _end_process(self) -> None:
        """End the process where it is the server's own; elsewhere whoever else uses it goes on."""
        assert self.host is not None
        if self.host.owns_process:
            logger.warning("process %d did not end by itself", os.getpid())
            logging.shutdown()
            os._exit(0 if self._machine.state.forced is None else 1)

    def _name_the_cut(self) -> None:
        self._account.name_the_cut(self.inflight, monotonic())
        if self.host is not None and self.host.conducted:
            self._leave_note()  # At once: the master may kill this process before it comes to its report.

    def _after_the_stop_hooks(self) -> None:
        self._hooks_done.open()
        if not self.waits_for_lifespan:
            self.post(Event.CLEANED_UP)

    def _report(self) -> None:
        try:
            self._write_report()
            for companion in self.companions:
                companion.end()
        finally:
            self._stopped.open()

    def _write_report(self) -> None:
        assert self.host is not None
        if self.host.conducted:
            self._leave_note()
            return
        report.write(
            report.compose(
                self._machine,
                monotonic(),
                reading=self._read(),
                release=self.release,
                server=self.host.name,
                late=self._account.late,
                cut=self._account.cut,
                lost_workers=self.board.lost_workers,
            ),
            to=self.settings.report,
        )
        self.inflight.sit(None)
        seat, self._seat = self._seat, None  # Whoever takes it next has it alone.
        self.presence.seat = None
        if seat is not None:
            self.board.fold(seat, pid=os.getpid(), lost=False)
            if next(self.board.seats(), None) is None:
                self.board.remove()

    def _leave_note(self) -> None:
        assert self._seat is not None
        self._account.leave_note(self._seat, forced=self._machine.state.forced)

    def _check_budget(self, host: Host) -> None:
        for found in misfits(self._limits, server=host.deadline):
            if self.settings.strict:
                raise BudgetError(found.message)
            logger.warning("the times do not fit: %s", found.message)

    def _check_workers(self) -> None:
        wanted, there = self.settings.ready_workers, self.board.expected
        if wanted is not None and there and wanted > there:
            logger.warning(
                "ZDLIFE_READY_WORKERS is %d, and the server starts %d: all are waited for. Lower it, or leave it out.",
                wanted,
                there,
            )
