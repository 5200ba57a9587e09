"""Turn trials into the one object of `--json`; its keys are a promise to scripts and are only ever added to.

Times are seconds since the run began. `control` is the same object for the run without zdlife, or null.
`late_arrivals` is `count`, and `worst` in seconds (null when nothing was late), as in the shutdown report. `cold` is
the same for requests that reached a worker before it was ready, and `known`: whether any instance told when that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zdlife.rehearsal.result import InstanceRun, Kind, Run, Trial
from zdlife.rehearsal.tally import Tally, by_release, cold, late_arrivals, of_kind, overall, tally, verdict


def record(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the object for these trials: one trial as it is, several under `runs`."""
    if len(trials) == 1:
        return trial_record(trials[0])
    return {"verdict": overall(trials), "runs": [trial_record(trial) for trial in trials]}


def trial_record(trial: Trial) -> dict[str, Any]:
    """Return one trial with its control, if there was one."""
    return run_record(trial.run) | {"control": None if trial.control is None else run_record(trial.control)}


def run_record(run: Run) -> dict[str, Any]:
    """Return one run."""
    late, early = late_arrivals(run), cold(run)
    return {
        "verdict": verdict(run),
        "server": run.server,
        "balancer": run.balancer,
        "rolls": run.rolls,
        "requests": _counts(tally(run.requests)),
        "streams": _counts(of_kind(run, Kind.STREAM)),
        "uploads": _counts(of_kind(run, Kind.UPLOAD)),
        "late_arrivals": {"count": late.count, "worst": late.worst},
        "cold": {"count": early.count, "worst": early.worst, "known": early.known},
        "instances": [_instance(instance) for instance in run.instances],
        "by_release": {release: _counts(counts) for release, counts in by_release(run).items()},
        "control": None,
    }


def _counts(counts: Tally) -> dict[str, Any]:
    return {
        "sent": counts.sent,
        "ok": counts.ok,
        "failed": counts.failed,
        "by_failure": dict(counts.by_failure),
    }


def _instance(instance: InstanceRun) -> dict[str, Any]:
    phases = [
        {
            "phase": span.phase,
            "at": round(span.at, 3),
            "seconds": round(span.until - span.at, 3),
            "requests": span.requests,
        }
        for span in instance.phases
    ]
    return {"release": instance.release, "exit_code": instance.exit_code, "phases": phases}
