"""The end of what a guest wrote to its console: read, never written, and never trusted.

libvirt's log daemon (virtlogd) writes the file and bounds it: at a size of its own it begins a new one and keeps some of
the old as `.0`, `.1` and so on, the newest first. Every byte in them is the guest's choice.
"""

import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from innkeeper.domain.host_console import NOTHING_YET, ConsolePart

MAX_BYTES = 1024 * 1024  # of one answer
_MOST_FILES = 16
_KNOWN_BY = 64  # bytes before a place


@dataclass(frozen=True)
class _Piece:
    """One file, as long as it was when it was looked at."""

    file: BinaryIO
    number: int
    size: int

    def part(self, begin: int, end: int) -> bytes:
        """Return the bytes from one place to another."""
        self.file.seek(max(0, begin))
        return self.file.read(end - max(0, begin))

    def place(self, at: int) -> str:
        """Return the word for a place, by what stands before it too: a file that is gone leaves its number to others."""
        return f"{self.number}-{at}-{zlib.crc32(self.part(at - _KNOWN_BY, at))}"

    def whole_size(self) -> int:
        """Return the size up to a character of UTF-8 that is not whole yet."""
        return self.size - _begun_character(self.part(self.size - 3, self.size))


def tail(log: Path, *, max_bytes: int) -> bytes:
    """Return at most the last `max_bytes` (and never more than `MAX_BYTES`); nothing where there is no log. Blocking.

    Raises:
        OSError: a file is there and cannot be read.
    """
    found, wanted = b"", min(max_bytes, MAX_BYTES)
    for piece in _pieces(log):
        found = piece.part(piece.size - (wanted - len(found)), piece.size) + found
        if len(found) >= wanted:
            break
    return found


def since(log: Path, after: str, *, max_bytes: int) -> ConsolePart:
    """Return what was written behind the place where an earlier answer ended, or with an empty one, the tail. Blocking.

    A character of UTF-8 that is not whole yet is left for the next time.

    Raises:
        OSError: a file is there and cannot be read.
    """
    wanted, found, end = min(max_bytes, MAX_BYTES), b"", NOTHING_YET
    number, offset = map(int, (after or NOTHING_YET).split("-")[:2])
    is_all_there = after == NOTHING_YET
    for piece in _pieces(log):
        until = piece.whole_size() if end == NOTHING_YET else piece.size
        end = piece.place(until) if end == NOTHING_YET else end
        is_place_here = bool(after) and offset <= until and piece.place(offset) == after
        begin, left = offset if is_place_here else 0, wanted - len(found)
        found = piece.part(max(begin, until - left), until) + found
        is_cut = until - begin > left
        was_emptied = piece.number == number and offset > piece.size  # what is older was told long ago
        if is_place_here or is_cut or was_emptied:
            is_all_there = is_place_here and not is_cut
            break
    return ConsolePart(written=found, end=end, is_some_left_out=bool(after) and not is_all_there)


def _pieces(log: Path) -> Iterator[_Piece]:
    """Yield the files, the newest first. One that moves on while they are read is yielded once."""
    seen = set()
    for path in (log, *(log.with_name(f"{log.name}.{number}") for number in range(_MOST_FILES))):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        with os.fdopen(descriptor, "rb") as opened:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise OSError(f"{path} is no file")
            if about.st_ino not in seen:
                seen.add(about.st_ino)
                yield _Piece(opened, about.st_ino, about.st_size)


def _begun_character(written: bytes) -> int:
    """Return how many bytes at the end are the beginning of a character of UTF-8."""
    for length in range(1, min(3, len(written)) + 1):
        first = written[-length]
        if first >= 0xC0:  # noqa: PLR2004 - here a character begins
            return length if length < 2 + (first >= 0xE0) + (first >= 0xF0) else 0  # noqa: PLR2004 - its length
        if first < 0x80:  # noqa: PLR2004 - a whole one
            return 0
    return 0
