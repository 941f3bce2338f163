"""The end of what a guest wrote to its console: read, never written, and never trusted.

libvirt's log daemon (virtlogd) writes the file and bounds it: at a size of its own it begins a new one and keeps some of
the old as `.0`, `.1` and so on, the newest first. Every byte in them is the guest's choice.
"""

import os
import stat
from pathlib import Path

MAX_BYTES = 1024 * 1024  # of one answer
_MOST_FILES = 16


def tail(log: Path, *, max_bytes: int) -> bytes:
    """Return at most the last `max_bytes` (and never more than `MAX_BYTES`); nothing where there is no log. Blocking.

    Raises:
        OSError: a file is there and cannot be read.
    """
    wanted = min(max_bytes, MAX_BYTES)
    found = b""
    for file in (log, *(log.with_name(f"{log.name}.{number}") for number in range(_MOST_FILES))):
        if len(found) >= wanted:
            break
        try:
            found = _end_of(file, wanted - len(found)) + found
        except FileNotFoundError:
            break
    return found


def _end_of(file: Path, most: int) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(f"{file} is no file")
        opened.seek(max(0, about.st_size - most))
        return opened.read(most)
