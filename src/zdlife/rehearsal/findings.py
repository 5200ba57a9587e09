"""What a run shows beyond the count: sentences that name the cause, and the knob where there is one.

A cause that several instances share is one sentence, on the worst of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass

from zdlife.rehearsal.clock import A_MOMENT
from zdlife.rehearsal.ledger import Heard, Told
from zdlife.rehearsal.plan import BalancerName, Plan
from zdlife.rehearsal.result import InstanceRun, Outcome, PhaseSpan, Request

AFTERWARDS = 5.0
"""Seconds past an instance's end in which a loss of unknown address is put down to it."""
LATE_LOAD = 0.5
"""Seconds by which the load may be late before it is worth a word."""
NO_GOODBYE = "1006"
READINESS = "/readyz"
READY_WORKERS = "ZDLIFE_READY_WORKERS"
UNKNOWN = Told()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a finding may look at."""

    plan: Plan
    balancer: BalancerName
    with_zdlife: bool
    requests: Sequence[Request]
    heard: Mapping[str, Heard]
    told: Mapping[str, Told]
    instances: Sequence[InstanceRun]
    websockets: Mapping[str, int]

    def sent_at(self, request: Request) -> float:
        """Return when the client turned to the network for it."""
        return self.heard[request.id].sent_at

    def witness(self, request: Request) -> Told:
        """Return what the application said about it."""
        return self.told.get(request.id, UNKNOWN)


def findings(evidence: Evidence) -> tuple[str, ...]:
    """Return what was found, the causes of losses first."""
    return tuple(sentence for find in FINDINGS for sentence in find(evidence))


def after_the_settle(evidence: Evidence) -> Iterator[str]:
    """The settle was over while the balancer still sent."""
    late = [
        (max(after), instance, settle, len(after))
        for instance, settle, lost in losses_by_settle(evidence)
        if (after := _after(settle, lost, evidence))
    ]
    if late:
        worst, instance, settle, _ = max(late, key=lambda entry: entry[0])
        many = sum(count for *_, count in late)
        yield (
            f"requests arrived up to {worst:.1f} s after the settle of {instance.name} ended, and {many} that came "
            f"after a settle were lost: {_advice(evidence, settle.until - settle.at + worst)}"
        )


def without_a_settle(evidence: Evidence) -> Iterator[str]:
    """There was no settle at all: the bare application, or an instance that did not report one."""
    late = [
        (max(after), instance, len(after))
        for instance, lost in losses(evidence)
        if (told := instance.told_to_stop_at) is not None and settle_of(instance) is None
        if (after := [seconds for request in lost if (seconds := evidence.sent_at(request) - told) > 0])
    ]
    if late:
        worst, instance, _ = max(late, key=lambda entry: entry[0])
        many = sum(count for *_, count in late)
        why = "it stopped serving before the balancer had stopped sending, for without zdlife there is no settle"
        yield (
            f"requests arrived up to {worst:.1f} s after {instance.name} was told to stop, and {many} that came after "
            f"a stop signal were lost: {_advice(evidence, worst) if evidence.with_zdlife else why}"
        )


def in_time_and_lost(evidence: Evidence) -> Iterator[str]:
    """Requests that came before the settle was over, and were lost all the same."""
    names: list[str] = []
    early: list[Request] = []
    for instance, settle, lost in losses_by_settle(evidence):
        if not _after(settle, lost, evidence):
            names.append(instance.name)
            early += lost
        elif before := [request for request in lost if evidence.sent_at(request) <= settle.until]:
            names.append(instance.name)
            early += before
    if early:
        yield (
            f"{_many(early)} ({_outcomes(early)}) came before {_names(names)} left, and {_were(early)} lost all the "
            f"same: {_usual_detail(early)}"
        )


def wrong_by_itself(evidence: Evidence) -> Iterator[str]:
    """Answers of the application itself that were not what the plan wants, which is no matter of a deploy."""
    wrong = Counter(
        (request.method, request.path, request.detail)
        for request in evidence.requests
        if request.outcome is Outcome.WRONG_STATUS and evidence.witness(request).status == request.status
    )
    for (method, path, detail), count in wrong.most_common(3):
        yield (
            f"the application itself answered {method} {path} wrongly, {_times(count)} ({detail}): correct it, "
            "or the plan"
        )


def done_twice(evidence: Evidence) -> Iterator[str]:
    """A balancer that tries again."""
    twice = [request for request in evidence.requests if request.outcome is Outcome.DONE_TWICE]
    if twice:
        first = twice[0]
        yield (
            f"{_many(twice)} {_were(twice)} done twice ({first.method} {first.path} for one): the balancer sent them "
            "again after a lost reply. Let it try again only what was never sent (nginx: proxy_next_upstream), or make "
            "it harmless"
        )


def killed(evidence: Evidence) -> Iterator[str]:
    """Instances that did not end in time."""
    names = [instance.name for instance in evidence.instances if instance.killed]
    if names:
        yield (
            f"{_names(names)} had not ended {evidence.plan.settings.grace:g} s after the stop signal, and had to be "
            "killed: lower ZDLIFE_DRAIN, or find out what keeps them"
        )


def ended_unasked(evidence: Evidence) -> Iterator[str]:
    """Instances that ended by themselves."""
    for instance in evidence.instances:
        if instance.told_to_stop_at is None:
            yield f"{instance.name} ended by itself, with exit code {instance.exit_code}: start it by hand to see why"


def ended_badly(evidence: Evidence) -> Iterator[str]:
    """Instances that ended when they were told to, and not with 0."""
    by_code: dict[int, list[str]] = {}
    for instance in evidence.instances:
        if instance.exit_code and instance.told_to_stop_at is not None and not instance.killed:
            by_code.setdefault(instance.exit_code, []).append(instance.name)
    for code, names in by_code.items():
        why = "so no atexit handler ran, and a supervisor takes it for a crash" if code < 0 else "and not with 0"
        yield f"{_names(names)} ended with exit code {code}, {why}"


def workers_lost(evidence: Evidence) -> Iterator[str]:
    """Workers that died in the middle of their work."""
    for instance in evidence.instances:
        if instance.workers_lost:
            yield f"{instance.workers_lost} workers of {instance.name} died, and what they held was lost with them"


def cut(evidence: Evidence) -> Iterator[str]:
    """Work that the drain was too short for."""
    cuts = [(instance, piece) for instance in evidence.instances for piece in instance.cut]
    if cuts:
        instance, oldest = max(cuts, key=lambda entry: float(entry[1].get("age") or 0))
        what = " ".join(str(oldest.get(key) or "") for key in ("kind", "method", "route")).strip()
        yield (
            f"{len(cuts)} in flight were cut at the end of a drain, the oldest by {instance.name}: {what}, "
            f"{float(oldest.get('age') or 0):.1f} s old. Raise ZDLIFE_DRAIN above {evidence.plan.settings.drain:g}, "
            "or make it end sooner"
        )


def served_late(evidence: Evidence) -> Iterator[str]:
    """Requests that came after the settle and were served: nothing is lost, and nothing was left to spare."""
    late = [
        (instance.latest_arrival, settle, instance)
        for instance in evidence.instances
        if (settle := settle_of(instance)) is not None and (instance.latest_arrival or 0) > A_MOMENT
    ]
    if late:
        worst, settle, instance = max(late, key=lambda entry: entry[0] or 0)
        many = sum(instance.late_arrivals for *_, instance in late)
        yield (
            f"requests reached {instance.name} up to {worst:.1f} s after its settle had ended and were still served, "
            f"{many} on all instances. To have time to spare, "
            f"{_advice(evidence, settle.until - settle.at + (worst or 0))}"
        )


def served_cold(evidence: Evidence) -> Iterator[str]:
    """Requests that reached a worker before it was ready: nothing is lost, and somebody met an empty cache."""
    cold = [(request.cold, request.instance) for request in evidence.requests if request.cold is not None]
    if cold:
        early, name = max(cold, key=lambda entry: entry[0])
        when = f", {early:.1f} s before it was ready" if math.isfinite(early) else " that never was ready"
        yield (
            f"{_many(cold)} {_were(cold)} served cold, at worst by a worker of {name}{when}: {_cause_of_cold(evidence)}"
        )


def forced(evidence: Evidence) -> Iterator[str]:
    """Instances that held nothing any more, and whose server did not end all the same."""
    by_reason: dict[str, list[str]] = {}
    for instance in evidence.instances:
        if instance.forced is not None and not instance.cut and not instance.killed:
            by_reason.setdefault(instance.forced, []).append(instance.name)
    for reason, names in by_reason.items():
        yield f"{_names(names)} had to be ended by zdlife: {reason}"


def sockets_cut(evidence: Evidence) -> Iterator[str]:
    """WebSockets that were never told goodbye."""
    if count := evidence.websockets.get(NO_GOODBYE, 0):
        yield f"{count} WebSockets were cut without a close frame (1006): no client can tell that from a crash"


def unwitnessed(evidence: Evidence) -> Iterator[str]:
    """Answers that the application never finished, as far as it says: then the ledger has only one side."""
    strange = [r for r in evidence.requests if r.outcome is Outcome.OK and not evidence.witness(r).done]
    if strange:
        yield (
            f"{_many(strange)} {_were(strange)} answered rightly, but the application did not say that it had finished "
            "them: whether they were done once is not known"
        )


def late_load(evidence: Evidence) -> Iterator[str]:
    """This machine could not keep up with itself."""
    late = [seconds for r in evidence.requests if (seconds := evidence.sent_at(r) - r.at) > LATE_LOAD]
    if late:
        yield (
            f"the load itself was up to {max(late):.1f} s late, {_times(len(late))}: this machine is too busy for the "
            "rate; lower it"
        )


FINDINGS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    after_the_settle,
    without_a_settle,
    in_time_and_lost,
    wrong_by_itself,
    done_twice,
    killed,
    ended_unasked,
    ended_badly,
    workers_lost,
    cut,
    served_cold,
    forced,
    served_late,
    sockets_cut,
    unwitnessed,
    late_load,
)


def losses(evidence: Evidence) -> Iterator[tuple[InstanceRun, list[Request]]]:
    """Yield each instance with the requests that were lost on it, those that the application itself got wrong left out.

    Where a balancer does not say whom it asked, a loss is put down to the instance that was leaving at the time.
    """
    by_name: dict[str, list[Request]] = {instance.name: [] for instance in evidence.instances}
    for request in evidence.requests:
        if request.outcome in (Outcome.OK, Outcome.DONE_TWICE):
            continue
        if request.outcome is Outcome.WRONG_STATUS and evidence.witness(request).status == request.status:
            continue
        name = request.instance or leaving(evidence.instances, evidence.sent_at(request))
        if name in by_name:
            by_name[name].append(request)
    for instance in evidence.instances:
        if by_name[instance.name]:
            yield instance, by_name[instance.name]


def losses_by_settle(evidence: Evidence) -> Iterator[tuple[InstanceRun, PhaseSpan, list[Request]]]:
    """Yield each instance that settled, its settle, and the requests that were lost on it."""
    for instance, lost in losses(evidence):
        if (settle := settle_of(instance)) is not None:
            yield instance, settle, lost


def leaving(instances: Iterable[InstanceRun], at: float) -> str | None:
    """Return the instance that was leaving at a moment, the one told last if there were several."""
    found = None
    for instance in instances:
        told = instance.told_to_stop_at
        if told is not None and told <= at <= max(span.until for span in instance.phases) + AFTERWARDS:
            found = instance.name
    return found


def settle_of(instance: InstanceRun) -> PhaseSpan | None:
    """Return the instance's settle, if it had one."""
    return next((span for span in instance.phases if span.phase == "settling"), None)


def settle_to_outlast(seconds: float) -> float:
    """Return a settle that is longer than `seconds`, with a tenth to spare, in half seconds."""
    return math.ceil(seconds * 1.1 * 2) / 2


def _after(settle: PhaseSpan, lost: Sequence[Request], evidence: Evidence) -> list[float]:
    """Return by how much each came after the settle; nothing where it was by no more than a moment for all of them."""
    after = [seconds for request in lost if (seconds := evidence.sent_at(request) - settle.until) > 0]
    return after if after and max(after) > A_MOMENT else []


def _advice(evidence: Evidence, seconds: float) -> str:
    """Return what to do about requests that came up to so many seconds after the stop signal."""
    if evidence.balancer == "nginx":
        return (
            "nginx without health checks never stops sending, so no settle outlasts it: take the instance off its list"
        )
    times, settle = evidence.plan.settings, settle_to_outlast(seconds)
    more = []
    if settle > times.settle_max:
        more.append("ZDLIFE_SETTLE_MAX to at least as much")
    if (needed := max(settle, times.settle_max) + times.drain + times.cleanup) > times.grace:
        more.append(f"the grace period and ZDLIFE_GRACE to {needed:g}")
    return f"raise ZDLIFE_SETTLE to {settle:g}" + (f" (and {', and '.join(more)})" if more else "")


def _cause_of_cold(evidence: Evidence) -> str:
    """Return why a worker is sent requests before it is ready, as far as that can be seen, and what to do about it."""
    if evidence.balancer == "nginx":
        return "nginx without health checks sends to whoever listens: put an instance on its list once it is ready"
    app, releases = evidence.plan.app, evidence.plan.releases
    if not app.health.partition("?")[0].endswith(READINESS):
        return (
            f"the plan takes {app.health} for the answer that an instance is ready: let health in [app] be {READINESS}"
        )
    if any(READY_WORKERS in env for env in (app.env, releases.old.env, releases.new.env)):
        return f"with {READY_WORKERS} an instance is ready before all of its workers are: leave it out"
    return (
        "a worker that takes the place of another one has to be held back until it is warm, which zdlife can do in the "
        "lifespan of an ASGI application, and under gunicorn with its hooks: have the server run them"
    )


def _many(requests: Sized) -> str:
    return "1 request" if len(requests) == 1 else f"{len(requests)} requests"


def _were(requests: Sized) -> str:
    return "was" if len(requests) == 1 else "were"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _names(names: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    if len(names) <= 2:
        return " and ".join(names)
    return f"{names[0]} and {len(names) - 1} others"


def _outcomes(requests: Sequence[Request]) -> str:
    """Return how many of each outcome, in words."""
    counts = Counter(request.outcome.value for request in requests)
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())


def _usual_detail(requests: Sequence[Request]) -> str:
    """Return the detail that is most frequent."""
    return Counter(request.detail for request in requests).most_common(1)[0][0] or "for no known reason"
