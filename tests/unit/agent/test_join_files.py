"""The files of a host's identity: for root alone, and in nobody's way."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from innkeeper.agent.joining.files import write_private


@pytest.fixture(params=[0o077, 0o022, 0o000])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("_umask")
def test_whatever_the_umask_is_the_directory_above_may_be_passed_through(tmp_path: Path) -> None:
    """`innkeeper agent join` may be who makes the state directory, in which QEMU opens disks."""
    token = tmp_path / "innkeeper" / "identity" / "host.token"
    write_private(token, "secret")
    assert (mode(token), mode(token.parent), mode(token.parent.parent)) == (0o600, 0o700, 0o711)


def test_directories_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    before = mode(tmp_path / "there")
    write_private(tmp_path / "there" / "file", "secret")
    assert mode(tmp_path / "there") == before
