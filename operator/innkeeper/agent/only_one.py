"""One agent for one state directory: a lock that the kernel lets go when its process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from innkeeper.errors import TerminalError


class AnotherAgentError(TerminalError):
    """Another agent works in this state directory."""

    reason = "AnotherAgent"


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold the lock.

    Raises:
        AnotherAgentError: another process, or another agent of this one, holds it.
    """
    # The hypervisor passes through to the disks of guests, and lists nothing.
    lock.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AnotherAgentError(f"another agent works in {lock.parent}: one host has one agent") from error
    try:
        yield
    finally:
        os.close(descriptor)
