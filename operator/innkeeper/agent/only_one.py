"""One process of a kind for one directory: a lock that the kernel lets go when its process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from innkeeper.errors import TerminalError


class AnotherOneError(TerminalError):
    """Another process of the kind works in this directory."""

    reason = "AnotherOne"


@contextmanager
def only_one(lock: Path, *, who: str) -> Iterator[None]:
    """Hold the lock; `who` says for people what there is one of: `agent`.

    Raises:
        AnotherOneError: another process, or another one within this process, holds it.
    """
    # The hypervisor passes through to the disks of guests, and lists nothing.
    lock.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AnotherOneError(f"another {who} works in {lock.parent}: one host has one {who}") from error
    try:
        yield
    finally:
        os.close(descriptor)
