"""A file that is there whole or not at all: replaced, not written for want of room, and with a link in the way."""

import os
from pathlib import Path

import pytest

from innkeeper import whole_files


def test_a_file_is_replaced_whole_and_is_nobody_else_s(tmp_path: Path) -> None:
    path = tmp_path / "file"
    whole_files.put(path, b"first")
    whole_files.put(path, b"second")
    assert path.read_bytes() == b"second"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_written_leaves_the_file_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    whole_files.put(path, b"first")

    def no_room(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="No space left"):
        whole_files.put(path, b"second")
    assert path.read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["file", "file.new"])
def test_a_link_in_the_way_is_replaced_and_not_followed(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"theirs")
    (tmp_path / name).symlink_to(elsewhere)
    whole_files.put(tmp_path / "file", b"ours", mode=0o644)
    assert (tmp_path / "file").read_bytes() == b"ours"
    assert not (tmp_path / "file").is_symlink()
    assert elsewhere.read_bytes() == b"theirs"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
