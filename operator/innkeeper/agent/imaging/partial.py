"""An image on its way: the file that grows, and the digest of what is in it.

After a kill the file is read again, so the digest is always that of bytes on disk. It is handed to QEMU's user only under
its final name. Blocking: callers use `on_disk`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from innkeeper.agent.disk_room import is_full
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from innkeeper.to_its_end import in_thread

CHUNK_BYTES = 1024 * 1024

P = ParamSpec("P")
T = TypeVar("T")


class DownloadFailedError(InnkeeperError):
    """The bytes did not come, or could not be kept; trying again may help."""

    reason = GuestReason.IMAGE_DOWNLOAD_FAILED


class PartialImage:
    """A file of at most `size` bytes, of which `have` are there."""

    def __init__(self, path: Path, size: int, *, declared: Digest) -> None:
        self.size = size
        self.have = 0
        self._path = path
        self._declared = declared
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        if os.fstat(self._file.fileno()).st_size > size:
            self._file.truncate(0)
        self._read()

    @property
    def mismatch(self) -> str | None:
        """How what is there differs from what was declared."""
        return self._declared.mismatch(self._declared.found_by(self._hash))

    def append(self, chunk: bytes) -> None:
        """Add bytes."""
        self._file.write(chunk)
        self._count(chunk)

    def restart(self) -> None:
        """Forget what is there."""
        self._file.truncate(0)
        self._read()

    def drop(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """Give the file its final name, once all of it is on the disk.

        Raises:
            OSError: the disk did not take all; nothing of it is kept.
        """
        self._file.flush()
        try:
            os.fsync(self._file.fileno())
        except OSError:
            self.drop()  # the kernel tells it once, and shows what the disk did not take as if it had
            raise
        self._path.chmod(0o644)  # QEMU runs as another user, and reads it only
        self._path.replace(target)

    def close(self) -> None:
        """Keep what is there for the next attempt."""
        self._file.close()

    def _read(self) -> None:
        self.have, self._hash = 0, self._declared.new_hash()
        self._file.seek(0)
        while chunk := self._file.read(CHUNK_BYTES):
            self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self.have += len(chunk)
        self._hash.update(chunk)


async def on_disk(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work on the disk in a thread; it ends before a caller who is cancelled goes on.

    Raises:
        DownloadFailedError: the disk refuses, because it is full for example.
    """
    try:
        return await in_thread(work, *args, **kwargs)
    except OSError as error:
        raise DownloadFailedError(
            f"this host cannot keep the image: {error.strerror}",
            reason=GuestReason.HOST_DISK_FULL if is_full(error) else None,
        ) from error
