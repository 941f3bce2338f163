"""One at a time: a lock between processes, held by an open file.

The kernel drops such a lock when its holder ends, however it ends, so no stale lock is ever left. A waiting
script says what it waits for. The file may be removed by the holder; whoever waited then takes a fresh one.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit import steps

_POLL = 0.1


@contextmanager
def exclusive(path: Path, *, waiting_for: str) -> Iterator[None]:
    """Hold the lock file at `path`; wait for whoever holds it, however long that takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = told = time.monotonic()
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _try(handle):
                now = time.monotonic()
                if now - told >= steps.PROGRESS_INTERVAL or told == begun:
                    told = now
                    steps.say(f"    waiting for {waiting_for} ({steps.seconds(now - begun)})")
                time.sleep(_POLL)
            if _still_there(handle, path):
                yield
                return
        finally:
            os.close(handle)


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(handle: int, path: Path) -> bool:
    """Tell whether the locked file is still the one that newcomers will open."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
