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


def roll(log: Path) -> None:
    """Do as the log daemon does once a file is full: each moves on by one, and the last of three goes."""
    for number in (1, 0):
        if (older := log.with_name(f"{log.name}.{number}")).exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.0"))
    log.touch()


def write(log: Path, text: bytes) -> None:
    with log.open("ab") as opened:
        opened.write(text)


def test_who_follows_gets_each_byte_once_also_over_files_that_roll(log: Path) -> None:
    seen, end = [], ""
    for text in (b"tick\n", b"tick\n", b"", b"tick\n"):
        write(log, text)
        part = console.since(log, end, max_bytes=1000)
        seen.append((part.written, part.is_some_left_out))
        end = part.end
    assert seen == [(b"tick\n", False), (b"tick\n", False), (b"", False), (b"tick\n", False)]
    write(log, b"before\n")
    roll(log)
    write(log, b"between\n")
    roll(log)
    write(log, b"after\n")
    part = console.since(log, end, max_bytes=1000)
    assert (part.written, part.is_some_left_out) == (b"before\nbetween\nafter\n", False)
    assert console.since(log, part.end, max_bytes=1000).written == b""


def test_what_a_guest_writes_first_reaches_who_followed_before(log: Path) -> None:
    nothing = console.since(log, "", max_bytes=1000)
    write(log, b"hello")
    part = console.since(log, nothing.end, max_bytes=1000)
    assert (nothing.written, part.written, part.is_some_left_out) == (b"", b"hello", False)


def test_a_log_that_was_emptied_tells_nothing_old_again(log: Path) -> None:
    log.with_name(f"{log.name}.0").write_bytes(b"old\n" * 100)
    log.write_bytes(b"told\n" * 100)
    place = console.since(log, "", max_bytes=1000).end
    with log.open("r+b") as opened:
        opened.truncate(0)
    log.write_bytes(b"new\n")
    found = console.since(log, place, max_bytes=1000)
    assert found.written == b"new\n"
    assert found.is_some_left_out, "what was written between is not known"


@pytest.mark.parametrize("how", ["too much", "gone", "shortened", "written anew"])
def test_who_follows_is_told_where_something_is_left_out(log: Path, how: str) -> None:
    write(log, b"first\n" * 10)
    end = console.since(log, "", max_bytes=1000).end
    if how == "shortened":
        log.write_bytes(b"")
    elif how == "written anew":  # as a new file does that has the number of one that is gone
        log.write_bytes(b"other\n" * 10)
    else:
        write(log, b"x" * 200)
    for _ in range(5 if how == "gone" else 0):
        roll(log)
    write(log, b"last\n")
    part = console.since(log, end, max_bytes=20)
    assert part.is_some_left_out
    assert part.written.endswith(b"last\n")
    assert len(part.written) <= 20
    assert not console.since(log, part.end, max_bytes=20).is_some_left_out


@pytest.mark.parametrize("character", ["\u00e9", "\u20ac", "\U0001f600"])
def test_a_character_is_told_once_it_is_whole(log: Path, character: str) -> None:
    told, end = b"", ""
    for byte in f"a{character}b{character}".encode():
        write(log, bytes([byte]))
        part = console.since(log, end, max_bytes=1000)
        part.written.decode()
        told, end = told + part.written, part.end
    assert told.decode() == f"a{character}b{character}"


def test_bytes_that_are_no_text_are_told_all_the_same(log: Path) -> None:
    write(log, b"\x80\xff\xc3(\xe2\x28\xa1\x80\x80\x80\x80")
    assert console.since(log, "", max_bytes=1000).written == log.read_bytes()
