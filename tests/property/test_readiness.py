"""Readiness over any history of results, warmers and workers, with a clock of its own."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zdlife.machine import readiness, warming
from zdlife.machine.checks import CheckRule, CheckState, Kind, Result, Status, colour, observe
from zdlife.machine.phases import Phase
from zdlife.machine.readiness import Standing, Surroundings, WorkerView
from zdlife.machine.warming import WarmerRule, WarmerState

KINDS: tuple[Kind, ...] = ("required", "degrades", "shared")


class Worker:
    """A model of one worker: what it was told, and what must follow from it."""

    def __init__(self, rules: list[CheckRule], warmers: list[WarmerRule], now: float) -> None:
        self.phase = Phase.WARMING
        self.since = now
        self.checks = {rule: CheckState(since=now) for rule in rules}
        self.warmers = {rule: warming.began(WarmerState(), now) for rule in warmers}
        self.passed: set[str] = set()
        self.history: dict[str, list[tuple[float, bool]]] = {rule.name: [] for rule in rules}
        self.arrived = False

    def verdict(self, now: float) -> readiness.Verdict:
        return readiness.worker(
            self.phase, self.since, checks=self.checks.items(), warmers=self.warmers.items(), now=now
        )


class Ready(RuleBasedStateMachine):
    """An instance whose workers come and go, whose checks say anything, and whose time passes."""

    @initialize(
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
        deadlines=st.lists(st.sampled_from(["ready", "unready"]), max_size=2),
        size=st.integers(1, 3),
    )
    def begin(self, kinds: list[Kind], deadlines: list[Any], size: int) -> None:
        self.now = 100.0
        self.rules = [CheckRule(f"c{n}", kind=kind, interval=5, timeout=2) for n, kind in enumerate(kinds)]
        self.warmers = [WarmerRule(f"w{n}", deadline=20, on_deadline=given) for n, given in enumerate(deadlines)]
        self.size = size
        self.was_ready = False
        self.workers = [Worker(self.rules, self.warmers, self.now) for _ in range(size)]
        self.before: dict[tuple[int, str], Status] = {}

    @rule(seconds=st.floats(0.01, 6.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.arrive()

    @rule(number=st.integers(0, 2), check=st.integers(0, 2), good=st.booleans(), seconds=st.floats(0.01, 2.0))
    def a_check_says(self, number: int, check: int, good: bool, seconds: float) -> None:
        self.now += seconds
        worker, checked = self.workers[number % len(self.workers)], self.rules[check % len(self.rules)]
        result = Result(self.now, Status.PASS if good else Status.FAIL, 0.01, "" if good else "no")
        before = worker.checks[checked]
        was = colour(checked, before, self.now)
        worker.checks[checked] = observe(checked, before, result, arrived=worker.arrived)
        worker.history[checked.name].append((self.now, good))
        if good:
            worker.passed.add(checked.name)
        self.never_flips_too_soon(worker, checked, was.status, was.stale)
        self.arrive()

    def never_flips_too_soon(self, worker: Worker, checked: CheckRule, was: Status, stale: bool) -> None:
        now = colour(checked, worker.checks[checked], self.now).status
        if not worker.arrived or was is Status.UNKNOWN or now is was:
            return
        needed = checked.rise if now is Status.PASS else checked.fall
        last = [good for _, good in worker.history[checked.name][-needed:]]
        assert not stale or now is not Status.PASS, "one result brought up what was stale"
        assert last == [now is Status.PASS] * needed, f"{was} became {now} after {last}"

    @rule(number=st.integers(0, 2), which=st.integers(0, 1), fails=st.booleans())
    @precondition(lambda self: self.warmers)
    def a_warmer_ends(self, number: int, which: int, fails: bool) -> None:
        worker, warmer = self.workers[number % len(self.workers)], self.warmers[which % len(self.warmers)]
        state = worker.warmers[warmer]
        worker.warmers[warmer] = warming.failed(state, self.now, why="no") if fails else warming.ended(state, self.now)
        self.arrive()

    @rule(number=st.integers(0, 2))
    def a_worker_dies_and_another_comes(self, number: int) -> None:
        self.workers[number % len(self.workers)] = Worker(self.rules, self.warmers, self.now)

    def arrive(self) -> None:
        """Let each worker whose time has come be ready, as its monitor would."""
        for worker in self.workers:
            if worker.phase is Phase.WARMING and readiness.may_arrive(
                checks=worker.checks.items(), warmers=worker.warmers.items(), now=self.now
            ):
                worker.phase, worker.since, worker.arrived = Phase.READY, self.now, True
        self.was_ready = self.was_ready or self.standing().ready

    def standing(self) -> Standing:
        views = [
            WorkerView(number, worker.phase, "1", worker.verdict(self.now))
            for number, worker in enumerate(self.workers)
        ]
        around = Surroundings(expected=self.size, was_ready=self.was_ready)
        return readiness.instance(views, around=around, now=self.now)

    @invariant()
    def no_worker_is_able_before_each_required_check_has_passed_once(self) -> None:
        for worker in getattr(self, "workers", ()):
            if worker.verdict(self.now).able:
                assert {rule.name for rule in self.rules if rule.kind == "required"} <= worker.passed

    @invariant()
    def no_worker_is_able_before_it_is_warm(self) -> None:
        for worker in getattr(self, "workers", ()):
            if worker.verdict(self.now).able:
                for warmer, state in worker.warmers.items():
                    done = state.status is warming.Warmth.DONE
                    late = state.began is not None and self.now >= state.began + warmer.deadline
                    assert done or (late and warmer.on_deadline == "ready")

    @invariant()
    def red_has_a_reason_and_a_plain_pass_has_none(self) -> None:
        if hasattr(self, "workers"):
            found = self.standing()
            assert bool(found.reasons) is (found.status is not Status.PASS)
            assert all(reason.word and reason.since <= self.now for reason in found.reasons)

    @invariant()
    def the_first_ready_is_of_all_workers(self) -> None:
        if hasattr(self, "workers") and not self.was_ready:
            assert not all(worker.verdict(self.now).able for worker in self.workers)

    @invariant()
    def a_shared_or_degrading_check_alone_takes_nothing_out(self) -> None:
        for worker in getattr(self, "workers", ()):
            if worker.phase is Phase.READY:
                required = {rule.reason for rule in self.rules if rule.kind == "required"}
                blocking = {r.word for r in worker.verdict(self.now).reasons if r.word.startswith("check:")}
                assert blocking <= required


Ready.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestReady = Ready.TestCase
