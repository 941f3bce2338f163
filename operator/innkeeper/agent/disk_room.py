"""The host's disk is full: known and told in one way, wherever a build meets it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError

SAID = os.strerror(errno.ENOSPC)  # by QEMU's tools too, which translate nothing


class DiskFullError(InnkeeperError):
    """The disk that guests lie on has no room; trying again helps once somebody has made some."""

    reason = GuestReason.HOST_DISK_FULL


def is_full(error: OSError) -> bool:
    """Tell whether an error of the system means that the disk, or the agent's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def told() -> Iterator[None]:
    """Tell the system's word for a full disk as our own; other errors pass.

    Raises:
        DiskFullError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if is_full(error):
            message = "the disk of this host is full: make room where its agent keeps guests and images"
            raise DiskFullError(message) from error
        raise
