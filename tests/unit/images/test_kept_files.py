"""Which of the small files of the image server stay when there is no room for all."""

import os
from pathlib import Path

import pytest

from innkeeper.images.kept_files import KeptFiles

KIB = 1024
NAMES = [f"{number:064x}.json" for number in range(4)]


def put(files: KeptFiles, directory: Path, name: str, *, used_at: int) -> None:
    files.put(name, bytes(64 * KIB))
    os.utime(directory / name, (used_at, used_at))


def test_what_was_longest_not_used_goes_first(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path, max_bytes=3 * 64 * KIB)
    for number, name in enumerate(NAMES[:3]):
        put(files, tmp_path, name, used_at=1000 + number)
    files.open(NAMES[0]).close()
    files.put(NAMES[3], bytes(64 * KIB))
    assert sorted(each.name for each in tmp_path.iterdir()) == [NAMES[0], NAMES[2], NAMES[3]]


def test_what_another_replica_put_there_counts(tmp_path: Path) -> None:
    here, there = (KeptFiles(tmp_path, max_bytes=2 * 64 * KIB) for _ in range(2))
    put(there, tmp_path, NAMES[0], used_at=1000)
    put(here, tmp_path, NAMES[1], used_at=1001)
    here.put(NAMES[2], bytes(64 * KIB))
    assert sorted(each.name for each in tmp_path.iterdir()) == NAMES[1:3]


def test_what_a_crash_left_half_written_goes_too(tmp_path: Path) -> None:
    left = tmp_path / f"{NAMES[0]}.new"
    left.write_bytes(bytes(64 * KIB))
    os.utime(left, (1000, 1000))
    KeptFiles(tmp_path, max_bytes=64 * KIB).put(NAMES[1], bytes(64 * KIB))
    assert [each.name for each in tmp_path.iterdir()] == [NAMES[1]]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(bytes(64 * KIB))
    files = KeptFiles(tmp_path, max_bytes=64 * KIB)
    for name in NAMES:
        files.put(name, bytes(64 * KIB))
    assert {each.name for each in tmp_path.iterdir()} == {"notes.txt", NAMES[3]}


def test_no_file_is_opened_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"secret")
    (tmp_path / NAMES[0]).symlink_to(tmp_path / "notes.txt")
    with pytest.raises(OSError, match="symbolic links"):
        KeptFiles(tmp_path).open(NAMES[0])
