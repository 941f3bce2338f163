"""One file of the store while it is written: sparse, and gone unless it was finished.

Its methods block; callers put them into threads. Where nothing but zeros is written there is a hole, which costs no disk.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from innkeeper import whole_files
from innkeeper.domain.reasons import ImageReason
from innkeeper.errors import InnkeeperError

SUFFIX = ".partial"
_HOLE_BYTES = 64 * 1024
_ZEROS = bytes(_HOLE_BYTES)


class StoreError(InnkeeperError):
    """The store cannot take or give a file now."""

    reason = ImageReason.STORE_FAILED


class Partial:
    """A new file of the store, written from its beginning."""

    def __init__(self, directory: Path) -> None:
        with failures():
            self._descriptor, name = tempfile.mkstemp(suffix=SUFFIX, dir=directory)
        self._path = Path(name)
        self._is_open = True
        self.size = 0
        self.allocated = 0  # bytes on the disk

    def write(self, content: bytes) -> None:
        """Append the next bytes.

        Raises:
            StoreError: the disk is full, or refuses.
        """
        with failures():
            for start in range(0, len(content), _HOLE_BYTES):
                part = content[start : start + _HOLE_BYTES]
                if part != _ZEROS[: len(part)]:
                    self._write(part, self.size + start)
        self.size += len(content)

    def _write(self, part: bytes, offset: int) -> None:
        done = 0
        while done < len(part):
            done += os.pwrite(self._descriptor, part[done:], offset + done)
        self.allocated += len(part)

    def finish(self, target: Path) -> None:
        """Bring the file to the disk and under its name; it survives a power cut then.

        Raises:
            StoreError: the disk is full, or refuses.
        """
        with failures():
            os.ftruncate(self._descriptor, self.size)
            os.fsync(self._descriptor)
            self._path.replace(target)
            self._close()
            whole_files.sync(target.parent)

    def drop(self) -> None:
        """Remove the file, unless it was finished."""
        if self._is_open:
            self._close()
            with suppress(OSError):  # the next start tries again
                self._path.unlink()

    def _close(self) -> None:
        self._is_open = False
        os.close(self._descriptor)


@contextmanager
def failures() -> Iterator[None]:
    """Make an error for people of what the disk refuses."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StoreError(
            f"the image server's store refuses: {error.strerror}; look at its --store-directory",
            reason=ImageReason.STORE_FULL if is_full else None,
        ) from error
