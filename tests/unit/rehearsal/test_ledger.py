"""The two halves of the ledger: what the client enters, and what the application wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from zdlife.rehearsal.clock import Clock
from zdlife.rehearsal.ledger import Asked, Beginning, Heard, Ledger, Told, read
from zdlife.rehearsal.result import Kind, Outcome


def ask(ledger: Ledger) -> Asked:
    return ledger.ask(Kind.POST, at=1.0, method="POST", path="/")


def test_every_request_has_an_id_of_its_own() -> None:
    ledger = Ledger(Clock())
    assert len({ask(ledger).id for _ in range(100)}) == 100


def test_a_request_is_in_progress_until_it_has_ended() -> None:
    ledger = Ledger(Clock())
    asked = ask(ledger)
    assert ledger.in_progress == 1
    ledger.hear(asked, Heard(1.0, 2.0, Outcome.RESET))
    assert ledger.in_progress == 0
    assert ledger.failed == {"reset": 1}


def test_a_request_ends_once() -> None:
    ledger = Ledger(Clock())
    asked = ask(ledger)
    ledger.hear(asked, Heard(1.0, 2.0, Outcome.OK))
    with pytest.raises(AssertionError, match="ended twice"):
        ledger.hear(asked, Heard(1.0, 3.0, Outcome.OK))


def test_the_applications_lines_are_joined_by_id(tmp_path: Path) -> None:
    first, second = tmp_path / "1.ledger", tmp_path / "2.ledger"
    first.write_text("B 100.0 000001\nB 100.1 000002\nD 100.2 000001 200\n")
    second.write_text("B 101.0 000002\nD 101.1 000002 201\n")
    told = read({"shop-old-1": first, "shop-old-2": second, "shop-old-3": tmp_path / "none"}, Clock())
    assert told["000001"] == Told(begun=1, done=1, status=200, instance="shop-old-1")
    assert told["000002"] == Told(begun=2, done=1, status=201, instance="shop-old-2")


def test_every_beginning_is_told_with_its_process_and_the_time_of_the_run(tmp_path: Path) -> None:
    first, second = tmp_path / "1.ledger", tmp_path / "2.ledger"
    first.write_text("B 100.5 000001 41\n")
    second.write_text("B 101.0 000001 52\n")
    told = read({"shop-old-1": first, "shop-old-2": second}, Clock(began=0.0, began_unix=100.0))
    assert told["000001"].begun == 2
    assert told["000001"].beginnings == [Beginning("shop-old-1", 41, 0.5), Beginning("shop-old-2", 52, 1.0)]
