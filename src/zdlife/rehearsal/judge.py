"""One outcome for every request, from what the client heard and what the application says."""

from __future__ import annotations

import math
from collections.abc import Mapping

from zdlife.rehearsal.clock import A_MOMENT
from zdlife.rehearsal.ledger import Asked, Heard, Told
from zdlife.rehearsal.result import Outcome, Request

NOTHING = Told()
TOO_FEW = 100
"""With fewer requests than this and none lost, the 95 % bound on the loss rate is above 3 %: that says nothing."""


def verdicts(
    asked: Mapping[str, Asked],
    heard: Mapping[str, Heard],
    told: Mapping[str, Told],
    *,
    instances: Mapping[int, str],
    releases: Mapping[str, str],
    arrivals: Mapping[str, Mapping[int, float]],
) -> tuple[Request, ...]:
    """Return every request that was asked with exactly one outcome, in the order of the asking.

    `instances` maps ports to names, `releases` names to versions, `arrivals` names to when each worker was ready.
    """
    assert asked.keys() == heard.keys(), "what was asked and what has ended are not the same requests"
    judged = []
    for id, request in asked.items():
        end = heard[id]
        witness = told.get(id, NOTHING)
        outcome, detail = weigh(end, witness)
        instance = witness.instance or instances.get(end.port or 0)
        judged.append(
            Request(
                id=id,
                kind=request.kind,
                at=request.at,
                seconds=end.ended_at - request.at,
                outcome=outcome,
                method=request.method,
                path=request.path,
                status=end.status,
                instance=instance,
                release=releases.get(instance) if instance is not None else None,
                detail=detail,
                cold=coldness(witness, arrivals),
            )
        )
    assert len(judged) == len(asked), "a request was dropped from the count"
    return tuple(judged)


def weigh(heard: Heard, told: Told) -> tuple[Outcome, str]:
    """Return the one outcome, and what it rests on where the two sides differ."""
    if told.done > 1:
        return (
            Outcome.DONE_TWICE,
            f"the application did it {told.done} times; for the client: {heard.outcome.value}",
        )
    if heard.outcome is Outcome.OK:
        return Outcome.OK, heard.detail
    if told.done and not (heard.outcome is Outcome.WRONG_STATUS and told.status == heard.status):
        return Outcome.REPLY_LOST, f"for the client: {heard.outcome.value}, {heard.detail}"
    if told.begun and not told.done:
        return heard.outcome, f"{heard.detail}; the application had begun it"
    return heard.outcome, heard.detail


def coldness(told: Told, arrivals: Mapping[str, Mapping[int, float]]) -> float | None:
    """Return by how many seconds a request came before its worker was ready, or None where it did not.

    Infinity stands for a worker that never was. Where no worker of an instance says when it was ready, as without
    zdlife, nothing is known of any.
    """
    early = [
        ready.get(beginning.pid, math.inf) - beginning.at
        for beginning in told.beginnings
        if (ready := arrivals.get(beginning.instance))
    ]
    return max((seconds for seconds in early if seconds > A_MOMENT), default=None)


def too_few(requests: tuple[Request, ...]) -> str | None:
    """Return why there is no verdict, or None where there can be one.

    A loss is a loss, and a cold request a cold one, however few were sent.
    """
    if len(requests) >= TOO_FEW or any(r.outcome is not Outcome.OK or r.cold is not None for r in requests):
        return None
    return (
        f"too few requests: {len(requests)} were sent, and that none of them was lost says nothing; "
        f"at least {TOO_FEW} are needed. Raise the rate or the rolls."
    )
