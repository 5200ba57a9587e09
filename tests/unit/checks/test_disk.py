"""Is there room: the thresholds of three things that run out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zdlife.checks import Caution
from zdlife.checks.disk import Room, disk, judge
from zdlife.errors import CheckFailed


def total(path: Path) -> int:
    """Return how large the file system is to those who are not root."""
    found = os.statvfs(path)
    return (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize


def test_a_file_system_with_room_passes(tmp_path: Path) -> None:
    assert disk(tmp_path, free_bytes=1, free_share=1e-9, inode_share=1e-9)() is None


def test_nothing_asked_for_is_nothing_missing(tmp_path: Path) -> None:
    assert disk(str(tmp_path), free_share=0, inode_share=0)() is None


def test_too_few_free_bytes_fail(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=rf"^{tmp_path} has .* of its bytes free .*, less than 1 P$"):
        disk(tmp_path, free_bytes=10**15, free_share=0, inode_share=0)()


def test_a_share_that_is_too_small_fails(tmp_path: Path) -> None:
    (tmp_path / "used").write_bytes(b"x" * 4096)

    with pytest.raises(CheckFailed, match="of its bytes free"):
        disk(tmp_path, free_share=1 - 1 / total(tmp_path), inode_share=0)()


def test_between_the_threshold_and_its_multiple_there_is_a_caution(tmp_path: Path) -> None:
    said = disk(tmp_path, free_bytes=1, free_share=0, inode_share=0, caution=10**18)()

    assert isinstance(said, Caution)
    assert said.text.startswith(f"{tmp_path} has ")
    assert said.text.endswith("; it fails below 1")


def test_a_path_that_there_is_not_fails(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=rf"^{tmp_path}/gone: No such file or directory$"):
        disk(tmp_path / "gone")()


def test_inodes_run_out_as_bytes_do() -> None:
    rooms = ((Room("bytes", 900, 1000), 50.0), (Room("inodes", 30, 1000), 50.0))

    with pytest.raises(CheckFailed, match=r"^/data has 3.0% of its inodes free \(30 of 1 k\), less than 50$"):
        judge("/data", rooms, 2.0)


@pytest.mark.parametrize(("free", "ends"), [(49, "fails"), (50, "warns"), (99, "warns"), (100, "passes")])
def test_the_thresholds_are_where_they_are_said_to_be(free: int, ends: str) -> None:
    rooms = ((Room("bytes", free, 1000), 50.0),)

    if ends == "fails":
        with pytest.raises(CheckFailed):
            judge("/data", rooms, 2.0)
    else:
        assert isinstance(judge("/data", rooms, 2.0), Caution) is (ends == "warns")


def test_what_fails_is_said_before_what_warns() -> None:
    rooms = ((Room("bytes", 60, 1000), 50.0), (Room("inodes", 1, 1000), 50.0))

    with pytest.raises(CheckFailed, match="inodes"):
        judge("/data", rooms, 2.0)


def test_a_file_system_without_a_number_of_inodes_is_not_asked_for_it() -> None:
    assert judge("/data", ((Room("bytes", 900, 1000), 50.0), (Room("inodes", 0, 0), 0.0)), 2.0) is None


def test_a_factor_of_one_means_no_caution() -> None:
    assert judge("/data", ((Room("bytes", 50, 1000), 50.0),), 1.0) is None


@pytest.mark.parametrize(
    ("free", "shown"),
    [(999, "999 of 1 k"), (1_500_000_000, "1.5 G of 2 G"), (3 * 10**15, "3 P of 4 P"), (10**18, "1e+03 P of 2e+03 P")],
)
def test_numbers_are_short(free: int, shown: str) -> None:
    totals = {999: 1000, 1_500_000_000: 2 * 10**9, 3 * 10**15: 4 * 10**15, 10**18: 2 * 10**18}

    assert shown in str(Room("bytes", free, totals[free]))
