"""Say in words what was counted: one wording for the terminal, the page and the plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal

from zdlife.rehearsal.result import Kind, Run, Trial, loss_bound
from zdlife.rehearsal.tally import Tally, cold, exit_codes, late_arrivals, of_kind

NOTHING = "–"
"""Stands where there is nothing to count, which is not the same as a zero."""


def count(number: int) -> str:
    """Return a number for people: `3,412`."""
    return f"{number:,}"


def percent(share: float) -> str:
    """Return a share as a percentage that is never below it: `0.09 %` for 0.000879."""
    value = Decimal(repr(share)) * 100
    step = Decimal("0.01") if value < 1 else Decimal("0.1") if value.adjusted() == 0 else Decimal(1)
    return f"{value.quantize(step, rounding=ROUND_CEILING)} %"


def failures(counts: Mapping[str, int]) -> str:
    """Return the failures for people, the most frequent first: `56 refused, 49 reset`."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count(number)} {name}" for name, number in ranked)


def sentence(counts: Tally) -> str:
    """Return the result in one line: `0 of 3,412 lost; at most 0.09 % at 95 % confidence`.

    With losses the observed share stands beside them: `139 of 2,582 lost (5.4 %); at most ...`.
    """
    bound = loss_bound(counts.sent, lost=counts.failed)
    if bound is None:
        return "no request was sent, so nothing is shown"
    share = f" ({percent(counts.failed / counts.sent)})" if counts.failed else ""
    lost = f"{count(counts.failed)} of {count(counts.sent)} lost{share}"
    return f"{lost}; at most {percent(bound)} at 95 % confidence"


def served_cold(number: int) -> str:
    """Return how many requests were served cold, as a clause."""
    return "1 request was served cold" if number == 1 else f"{count(number)} requests were served cold"


def remarks(trial: Trial) -> list[str]:
    """Return what a reader must be told: why it was aborted, its findings, a control that shows nothing."""
    found: list[str] = []
    if trial.run.aborted is not None:
        found.append(f"Aborted: {trial.run.aborted}")
    elif not trial.run.requests:
        found.append("No request was sent, so this run shows nothing. Raise --rate or --rolls.")
    found.extend(trial.run.findings)
    control = trial.control
    if control is not None and control.aborted is not None:
        found.append(f"The run without zdlife was aborted: {control.aborted}")
    elif control is not None and not control.failed:
        found.append(
            "Without zdlife nothing was lost either, so this shows nothing about zdlife: under this load the "
            "server and the balancer were enough by themselves."
        )
    if not trial.run.with_zdlife and trial.run.failed:
        found.append("This is the application without zdlife: the losses are what the control is there to show.")
    return found


def grouped_remarks(trials: Sequence[Trial]) -> list[str]:
    """Return the remarks of all trials, each once, naming the trials it is about when there are several."""
    about: dict[str, list[str]] = {}
    for trial in trials:
        for remark in remarks(trial):
            about.setdefault(remark, []).append(f"{trial.run.server} behind {trial.run.balancer}")
    if len(trials) == 1:
        return list(about)
    return [f"{', '.join(names)}: {remark}" for remark, names in about.items()]


def coded(codes: Mapping[str, int]) -> str:
    """Return codes for people, each with how often it was seen: `0 (6×)`, or nothing."""
    return ", ".join(f"{code} ({number}×)" for code, number in codes.items())


def side(*, with_zdlife: bool) -> str:
    """Return which side of the comparison a run is."""
    return "with zdlife" if with_zdlife else "without zdlife"


def details(runs: Sequence[Run]) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows that both tables have, each with a cell for each run."""
    yield "whole streams", [_whole(of_kind(run, Kind.STREAM)) for run in runs]
    yield "whole uploads", [_whole(of_kind(run, Kind.UPLOAD)) for run in runs]
    yield "late arrivals", [_late(run) for run in runs]
    yield "cold requests", [_cold(run) for run in runs]
    yield "websockets", [coded(run.websockets) or NOTHING for run in runs]
    yield "exit codes", [coded(exit_codes(run)) or NOTHING for run in runs]


def _whole(counts: Tally) -> str:
    return f"{count(counts.ok)} of {count(counts.sent)}" if counts.sent else NOTHING


def _late(run: Run) -> str:
    if not run.with_zdlife:
        return NOTHING
    late = late_arrivals(run)
    return _with_worst(late.count, late.worst)


def _cold(run: Run) -> str:
    early = cold(run)
    return _with_worst(early.count, early.worst) if early.known else NOTHING


def _with_worst(number: int, worst: float | None) -> str:
    return f"{count(number)} (by up to {worst:.1f} s)" if worst is not None else count(number)
