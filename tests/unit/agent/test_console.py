"""The end of a guest's console log is found over the files that libvirt's log daemon leaves behind."""

import os
from pathlib import Path

import pytest

from innkeeper.agent import console


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "console.log"


def test_the_last_bytes_are_read_and_no_more(log: Path) -> None:
    log.write_bytes(b"first\nlast\n")
    assert console.tail(log, max_bytes=5) == b"last\n"
    assert console.tail(log, max_bytes=1000) == b"first\nlast\n"


def test_what_was_begun_in_an_older_file_is_joined_in_order(log: Path) -> None:
    log.write_bytes(b"new")
    log.with_name("console.log.0").write_bytes(b"older-")
    log.with_name("console.log.1").write_bytes(b"oldest-")
    assert console.tail(log, max_bytes=1000) == b"oldest-older-new"
    assert console.tail(log, max_bytes=5) == b"r-new"


def test_a_guest_that_never_wrote_has_an_empty_log(log: Path) -> None:
    assert console.tail(log, max_bytes=10) == b""


def test_an_answer_is_bounded_whatever_is_asked_for(log: Path) -> None:
    log.write_bytes(bytes(console.MAX_BYTES + 10))
    assert len(console.tail(log, max_bytes=1 << 40)) == console.MAX_BYTES


@pytest.mark.parametrize("trap", ["link", "pipe", "directory"])
def test_only_a_file_is_read(log: Path, tmp_path: Path, trap: str) -> None:
    if trap == "link":
        (tmp_path / "secret").write_text("secret")
        log.symlink_to(tmp_path / "secret")
    elif trap == "pipe":
        os.mkfifo(log)
    else:
        log.mkdir()
    with pytest.raises(OSError, match=r"no file|Is a directory|symbolic links"):
        console.tail(log, max_bytes=10)
