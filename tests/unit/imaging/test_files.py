"""Which whole images lie on a host, also while some of them go."""

import os
from pathlib import Path

import pytest

from innkeeper.agent.imaging.files import ImageFiles

KEPT, GONE = "a" * 64, "b" * 64


def test_an_image_that_is_dropped_while_others_are_counted_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last guest of one image is destroyed while another guest's image comes whole: neither may fail."""
    for name in (KEPT, GONE, f"{KEPT}.partial"):
        (tmp_path / name).write_bytes(b"bytes")
    is_file = Path.is_file

    def and_gone(path: Path) -> bool:
        found = is_file(path)
        if path.name == GONE:
            path.unlink()
        return found

    monkeypatch.setattr(Path, "is_file", and_gone)
    assert ImageFiles(tmp_path).whole_images() == [f"sha256:{KEPT}"]


def test_those_used_last_come_first(tmp_path: Path) -> None:
    for used_at, name in ((2, KEPT), (1, GONE)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (used_at, used_at))
    assert ImageFiles(tmp_path).whole_images() == [f"sha256:{KEPT}", f"sha256:{GONE}"]
