"""Whether the times fit is said at the start, and only where they don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.servers import SERVERS, Instance

DEFAULTS = {
    "ZDLIFE_SETTLE": "5",
    "ZDLIFE_SETTLE_QUIET": "2",
    "ZDLIFE_SETTLE_MAX": "10",
    "ZDLIFE_DRAIN": "15",
    "ZDLIFE_CLEANUP": "3",
    "ZDLIFE_GRACE": "30",
}
ALONE = ["gunicorn-sync-alone", "gunicorn-asgi-alone"]


@pytest.mark.parametrize("name", [*ALONE, "gunicorn-asgi", "uvicorn"])
def test_the_default_times_fit_and_nothing_is_said(name: str, tmp_path: Path) -> None:
    with Instance(SERVERS[name], tmp_path, environment=DEFAULTS) as instance:
        instance.wait_until_ready()
        assert [note.said for note in instance.journal() if note.level == "WARNING"] == []
        assert "ZDLIFE_" not in instance.output


@pytest.mark.parametrize("name", ALONE)
def test_a_graceful_timeout_without_room_for_all_of_leaving_is_said_with_the_number_to_write(
    name: str, tmp_path: Path
) -> None:
    with Instance(SERVERS[name], tmp_path, environment=DEFAULTS, extra=("--graceful-timeout", "20")) as instance:
        instance.wait_until_ready()
        said = instance.journal("the times do not fit: graceful_timeout is 20 s")
        assert {note.pid for note in said} == instance.workers()
        assert all(note.said.endswith("Set graceful_timeout to 28.") for note in said)
