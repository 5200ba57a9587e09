"""A person is told what stands in the way, where and since when, however many workers there are."""

from __future__ import annotations

from typing import Any

import pytest

from support.facts import SITUATIONS, check, flight, in_flight, reason, said, status, timeline, warmer, warmth, worker
from zdlife.probes.overview import Overview, overview
from zdlife.probes.rows import MOST_FLIGHTS, MOST_GROUPS, MOST_WORKERS


def seen(situation: str) -> Overview:
    return overview(SITUATIONS[situation]())


@pytest.mark.parametrize(
    ("situation", "headline", "tone"),
    [
        pytest.param("ready", "Ready", "good", id="ready"),
        pytest.param("degraded", "Ready, but degraded", "caution", id="degraded"),
        pytest.param("unready", "Not ready", "bad", id="not-ready"),
        pytest.param("warming", "Not ready yet", "caution", id="warming"),
        pytest.param("leaving", "Leaving", "caution", id="leaving"),
    ],
)
def test_the_headline_says_whether_it_takes_requests(situation: str, headline: str, tone: str) -> None:
    found = seen(situation)
    assert (found.headline, found.mark.tone) == (headline, tone)


def test_one_that_has_stopped_is_said_to_have() -> None:
    facts = SITUATIONS["leaving"]() | {"phase": "stopped", "reasons": [reason("stopped")]}
    assert overview(facts).headline == "Stopped"


def test_ready_is_said_since_the_phase_began() -> None:
    assert seen("ready").lead == "for 2 h 14 min, since 13:45:58 UTC"


def test_not_ready_is_said_since_the_first_reason() -> None:
    assert seen("unready").lead == "for 33 s, since 15:59:27 UTC"


def test_leaving_is_said_since_it_was_told_to_stop() -> None:
    assert seen("leaving").lead == "for 11 s, since 15:59:48 UTC"


def test_a_failing_check_is_named_with_its_workers_and_what_it_said() -> None:
    texts = [remark.text for remark in seen("unready").reasons]
    assert "Check orders-db fails in all 3 workers: connection refused by 10.1.2.3:5432" in texts


def test_a_check_that_degrades_is_said_to_take_nothing_out() -> None:
    (search,) = [remark for remark in seen("degraded").reasons if "search" in remark.text]
    assert search.text.endswith("It only degrades: nothing is taken out for it")
    assert search.mark.tone == "caution"


def test_a_warmer_that_runs_is_no_fault_and_one_that_failed_is() -> None:
    facts = SITUATIONS["warming"]()
    running = overview(facts | {"reasons": [reason("warmer:prices")]})
    failed = overview(facts | {"reasons": [reason("warmer:search-index")]})
    assert [remark.mark.tone for remark in (*running.reasons, *failed.reasons)] == ["caution", "bad"]


def test_a_reason_that_this_release_does_not_know_is_shown_as_it_is() -> None:
    facts = status(
        status="fail", ready=False, reasons=[reason("moon:full"), reason("check:gone"), reason("warmer:gone")]
    )
    assert [remark.text for remark in overview(facts).reasons] == ["Moon:full", "Check gone", "Warmer gone"]


def test_a_long_phase_is_wider_than_a_short_one_and_does_not_hide_it() -> None:
    starting, warming, ready = overview(status(timeline=timeline(starting=0.2, warming=4.0, ready=1e6))).phases
    assert starting.weight < warming.weight < ready.weight < 20 * starting.weight
    assert [span.present for span in (starting, warming, ready)] == [False, False, True]


def test_few_workers_stand_in_the_order_of_their_pids() -> None:
    assert [row.pid for row in seen("unready").workers.rows] == [4242, 4243, 4244]


def test_of_many_workers_those_that_want_attention_come_first_and_the_rest_is_counted() -> None:
    workers = seen("many").workers
    assert len(workers.rows) == MOST_WORKERS - 1
    assert [row.pid for row in workers.rows[:2]] == [5017, 5040]
    assert workers.rows[0].mark.word == "stuck"
    assert workers.rest.startswith("and 49 more, all ready: ")


def test_the_worker_that_answers_is_pointed_out() -> None:
    assert [row.note for row in seen("ready").workers.rows] == ["answers here", "", ""]


@pytest.mark.parametrize(
    ("ready", "word"),
    [pytest.param(3, "pass", id="all"), pytest.param(2, "warn", id="enough"), pytest.param(1, "fail", id="too-few")],
)
def test_workers_are_judged_by_how_many_are_needed(ready: int, word: str) -> None:
    facts = status()
    facts["workers"] |= {"needed": 2, "ready": ready}
    assert overview(facts).workers.mark.word == word


def test_what_is_in_flight_for_longer_than_the_drain_lasts_is_pointed_at() -> None:
    facts = status(in_flight=in_flight(flight(1, 4.0), flight(1, 2.0)))
    assert [row.old for row in overview(facts).flights.rows] == [False, False]
    facts["budget"] |= {"drain": 3.0}
    assert [row.old for row in overview(facts).flights.rows] == [True, False]


def test_what_is_in_flight_and_not_listed_is_counted() -> None:
    flights = seen("many").flights
    assert len(flights.rows) == MOST_FLIGHTS
    assert flights.rest == f"and {64 - MOST_FLIGHTS} more, younger"


def test_workers_that_say_the_same_of_a_check_share_a_row() -> None:
    (orders, *_) = seen("ready").checks
    assert [row.whose for row in orders.said] == ["in all 3 workers"]


def test_workers_that_differ_have_rows_of_their_own_the_worst_first() -> None:
    *_, search = seen("degraded").checks
    assert [(row.mark.word, row.whose) for row in search.said] == [
        ("fail", "in 2 of 3 workers (4242, 4243)"),
        ("pass", "in 1 of 3 workers (4244)"),
    ]


def test_what_there_is_no_room_for_is_counted_by_how_it_ended() -> None:
    shards = seen("many").checks[3]
    assert len(shards.said) == MOST_GROUPS
    assert shards.rest == "and 53 more workers: 2 fail, 51 pass"


def test_runs_that_hang_are_said() -> None:
    assert seen("unready").checks[0].said[0].why.endswith("; 3 runs hang beyond its timeout")


def test_a_check_that_has_not_been_run_has_no_latency() -> None:
    (row,) = overview(status(checks=[check("db", [said(1, "unknown")], status="unknown")])).checks
    assert (row.said[0].latency, row.said[0].since, row.said[0].tally) == ("–", "", "no run yet")


def test_a_slow_run_is_higher_than_a_quick_one_and_a_failure_is_highest() -> None:
    facts = status(checks=[check("db", [said(1, "fail", "pass", "pass", "fail")], status="fail")])
    runs = facts["checks"][0]["workers"][0]["history"]
    runs[0]["latency"], runs[1]["latency"] = 0.001, 0.5
    quick, slow, failed = overview(facts).checks[0].said[0].runs
    assert quick.height < slow.height < failed.height == 1.0
    assert failed.title.endswith("fail, 2 s")


@pytest.mark.parametrize(
    ("progress", "share", "text"),
    [
        pytest.param({"done": 30, "total": 120}, 0.25, "30 of 120, 1.2 s", id="known"),
        pytest.param({"done": 30}, None, "30, 1.2 s", id="no-end"),
        pytest.param({}, None, "1.2 s", id="unknown"),
        pytest.param({"done": 0, "total": 0}, 0.0, "0 of 0, 1.2 s", id="nothing-to-do"),
    ],
)
def test_a_warmer_shows_how_far_it_is(progress: dict[str, Any], share: float | None, text: str) -> None:
    (row,) = overview(status(warmers=[warmer("prices", [warmth(1, "running", **progress)])])).warmers
    assert (row.bars[0].share, row.bars[0].progress) == (share, text)


def test_each_worker_in_which_a_warmer_runs_has_its_bar_and_the_others_share_one() -> None:
    workers = [warmth(1, "running"), warmth(2, "running", attempts=2), warmth(3), warmth(4)]
    (row,) = overview(status(warmers=[warmer("prices", workers)])).warmers
    assert [bar.mark.word for bar in row.bars] == ["running", "running", "done"]
    assert row.bars[1].progress.endswith("attempt 2")


def test_the_budget_is_measured_against_the_grace_period() -> None:
    budget = seen("ready").budget
    assert budget.sentence == "takes at most 28 s of 30 s, 2 s to spare"
    assert [part.phase for part in budget.parts] == ["settling", "draining", "stopping"]
    assert budget.elapsed is None


def test_a_budget_that_does_not_fit_ends_beyond_the_grace_period() -> None:
    budget = seen("unready").budget
    assert sum(part.share for part in budget.parts) == pytest.approx(1.0, abs=0.001)
    assert budget.grace == pytest.approx(30 / 38, abs=0.001)
    assert budget.mark.word == "warn"


def test_no_settle_takes_no_part_of_the_budget() -> None:
    facts = status()
    facts["budget"] |= {"settle": 0.0, "needed": 18.0}
    assert [part.phase for part in overview(facts).budget.parts] == ["draining", "stopping"]


def test_an_instance_whose_workers_have_said_nothing_yet_is_shown_too() -> None:
    facts = status(timeline=[], reasons=[], workers={"expected": 0, "needed": 0, "ready": 0, "lost": 0, "each": []})
    facts["budget"] = dict.fromkeys(facts["budget"], 0.0) | {"fits": True, "misfits": []}
    found = overview(facts)
    assert found.lead == "for 0 ms, since 16:00:00 UTC"
    assert found.budget.sentence == "no worker has said yet"


def test_one_that_leaves_says_how_much_of_the_grace_period_is_left() -> None:
    budget = seen("leaving").budget
    assert budget.sentence == "told to stop 11 s ago; SIGKILL in 19 s"
    assert budget.elapsed == pytest.approx(11.4 / 30)


def test_nothing_that_is_told_is_more_than_a_line_or_steers_a_terminal() -> None:
    assert all(text.isprintable() for text in strings(seen("hostile")))


def strings(value: object) -> list[str]:
    """Return every text in a value made of dataclasses and lists."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [text for name in getattr(value, "__slots__", ()) for text in strings(getattr(value, name))]


def test_a_worker_has_its_own_version_since_a_reload_mixes_them() -> None:
    facts = status()
    facts["workers"]["each"] = [worker(1), worker(2, version="2026.11.3")]
    assert [row.version for row in overview(facts).workers.rows] == ["2026.11.2", "2026.11.3"]


def test_a_measured_hit_rate_is_called_one() -> None:
    hits = warmer("prices", [warmth(4242, "running", done=40, total=80)], kind="warmth")
    seen = overview(status(status="fail", ready=False, reasons=[reason("warmth:prices")], warmers=[hits]))

    assert [remark.text for remark in seen.reasons] == ["Hit rate prices is running"]
    assert [row.name for row in seen.warmers] == ["prices (hit rate, %)"]
