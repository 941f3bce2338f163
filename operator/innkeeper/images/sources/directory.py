"""Images in one directory of the image server.

The path comes from a user's Image, so it is walked one name at a time from the root's descriptor: no `..`, no
symbolic link and nothing but a regular file is ever opened. That holds even when the tree changes meanwhile.
"""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.opened import opened
from innkeeper.images.sources.source import CHUNK_BYTES, SourceChangedError, SourceError, SourceInfo

MAX_PATH = 1024
_WALK = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKED = {errno.ELOOP, errno.ENOTDIR}


@dataclass(frozen=True)
class _Open:
    """An open file, and what it was when it was opened."""

    descriptor: int
    info: SourceInfo

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)


class DirectoryFile:
    """One file under `root`."""

    kind: ClassVar[str] = "directory"

    def __init__(self, root: Path, path: str) -> None:
        self._root = root
        self._path = path

    async def stat(self) -> SourceInfo:
        """Return the file's size and version."""
        async with opened(self._open) as file:
            return file.info

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of one open file, so a file put in its place meanwhile does not mix in."""
        async with opened(self._open) as file:
            try:
                while start < end:
                    wanted = min(CHUNK_BYTES, end - start)
                    chunk = await asyncio.to_thread(os.pread, file.descriptor, wanted, start)
                    if not chunk:
                        raise SourceChangedError(f"the file {self._path!r} became shorter while it was read")
                    start += len(chunk)
                    yield chunk
            except OSError as error:
                raise SourceError(f"the file {self._path!r} cannot be read: {error.strerror}") from error

    def _open(self) -> _Open:
        """Open the file and describe it."""
        names = names_of(self._path)
        directory = self._open_root()
        try:
            for name in names[:-1]:
                inner = os.open(name, _WALK | os.O_DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
            # Without O_NONBLOCK a named pipe in the directory would hold the thread for ever.
            descriptor = os.open(names[-1], _WALK | os.O_NONBLOCK, dir_fd=directory)
        except OSError as error:
            raise self._refusal(error) from error
        finally:
            os.close(directory)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise SourceError(
                f"{self._path!r} is not a regular file; name an image file",
                reason=ImageReason.SOURCE_REFUSED,
                retryable=False,
            )
        version = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
        return _Open(descriptor, SourceInfo(found.st_size, version))

    def _open_root(self) -> int:
        try:
            # The root itself is the admin's choice: it may be a link.
            return os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(
                f"the image server's directory cannot be opened: {error.strerror}; mount it, or mend --directory"
            ) from error

    def _refusal(self, error: OSError) -> SourceError:
        if error.errno in _LINKED:
            return SourceError(
                f"{self._path!r} leads through a symbolic link or a file; name the file itself",
                reason=ImageReason.SOURCE_REFUSED,
                retryable=False,
            )
        if error.errno in {errno.ENOENT, errno.ENAMETOOLONG}:
            return SourceError(
                f"there is no file {self._path!r} in the image server's directory",
                reason=ImageReason.NOT_FOUND,
            )
        return SourceError(f"the file {self._path!r} cannot be opened: {error.strerror}")


def names_of(path: str) -> tuple[str, ...]:
    """Return the names that `path` consists of.

    Raises:
        SourceError: the path is empty, absolute, too long, or tries to leave the directory.
    """
    parts = PurePosixPath(path).parts
    bad = not parts or path.startswith("/") or ".." in parts or "\0" in path or len(path) > MAX_PATH
    if bad:
        raise SourceError(
            f"the path {path[:80]!r} is refused; name a file inside the image server's directory, without `..`",
            reason=ImageReason.SOURCE_REFUSED,
            retryable=False,
        )
    return parts
