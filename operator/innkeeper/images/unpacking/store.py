"""The image server's store of unpacked images: one sparse file each, named by the digest of its content.

A file under such a name was checked and is whole. The store is a cache with a cap: what was not read for longest goes
first, and is made again when somebody asks for it; what hosts read now stays. One process owns the directory. All but the
work on the disk happens in the event loop, so nothing here needs a lock.
"""

import errno
import fcntl
import os
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import ClassVar

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.given_manifest import WrongContentError
from innkeeper.images.opened import opened
from innkeeper.images.sources.source import CHUNK_BYTES, SourceError, SourceInfo
from innkeeper.images.unpacking import partial
from innkeeper.images.unpacking.partial import Partial, StoreError
from innkeeper.to_its_end import in_thread

log = structlog.get_logger(__name__)

DEFAULT_MAX_BYTES = 256 * 1024**3
IN_USE_S = 120.0  # hosts ask part by part: what was read lately is being read
_NAME = re.compile(r"[0-9a-f]{64}")
_BLOCK_BYTES = 512  # the unit of st_blocks


@dataclass
class _Entry:
    """One file. `allocated` in bytes on the disk, `used_at` in seconds since the epoch."""

    path: Path
    size: int
    allocated: int
    used_at: float
    readers: int = 0


class Store:
    """Unpacked images by digest."""

    def __init__(self, directory: Path, *, clock: Clock, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Take the directory over: what a crash left half written is removed.

        Raises:
            OSError: another process owns it, or it cannot be written.
        """
        self._directory = directory
        self._clock = clock
        self._max_bytes = max_bytes
        self._lock = os.open(directory / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise BlockingIOError(
                error.errno, "another image server uses this --store-directory", str(directory)
            ) from error
        self._growing: set[Partial] = set()
        self._entries = _taken_over(directory)

    @property
    def used(self) -> int:
        """Bytes on the disk, those of files that are being written included."""
        kept = sum(each.allocated for each in self._entries.values())
        return kept + sum(each.allocated for each in self._growing)

    def find(self, digest: str) -> "StoredImage | None":
        """Return an unpacked image, or None where it has to be made."""
        return StoredImage(self, digest) if _key(digest) in self._entries else None

    async def begin(self) -> Partial:
        """Return a new file; end it with `keep` or `drop`."""
        begun = await in_thread(Partial, self._directory)
        self._growing.add(begun)
        return begun

    async def make_room(self, growing: Partial) -> None:
        """Remove what was not read for longest until all fits.

        Raises:
            WrongContentError: the new file alone is larger than the store.
            StoreError: the rest is being read or written; a later try may succeed.
        """
        if growing.allocated > self._max_bytes:
            raise WrongContentError(
                f"the unpacked image does not fit into the store of {self._max_bytes} bytes: "
                "use a smaller image, or raise --max-store-bytes of the image server",
                reason=ImageReason.TOO_LARGE,
            )
        while self.used > self._max_bytes:
            await self._remove_oldest()

    async def keep(self, finished: Partial, digest: str) -> None:
        """Bring a file that was written whole and checked under its name.

        Raises:
            StoreError: the disk is full, or refuses.
        """
        key = _key(digest)
        path = self._directory / key
        await in_thread(finished.finish, path)
        self._growing.discard(finished)
        entry = self._entries.setdefault(key, _Entry(path, finished.size, 0, 0))
        entry.allocated, entry.used_at = finished.allocated, self._now()

    async def drop(self, unfinished: Partial) -> None:
        """Remove a file that was not kept; nothing where it was."""
        self._growing.discard(unfinished)
        await in_thread(unfinished.drop)

    def close(self) -> None:
        """Leave the directory to another process."""
        os.close(self._lock)

    async def read(self, digest: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield a part of an image; the file stays meanwhile."""
        entry = self._entry(digest)
        entry.readers += 1
        entry.used_at = self._now()
        try:
            async with opened(lambda: _open(entry)) as file:
                while start < end:
                    chunk = await in_thread(_part, file, start, end)
                    start += len(chunk)
                    yield chunk
        except OSError as error:
            await self._forget(entry)
            raise SourceError(f"the store cannot give the image: {error.strerror}; ask again soon") from error
        finally:
            entry.readers -= 1

    def info(self, digest: str) -> SourceInfo:
        """Return size and version of an image.

        Raises:
            SourceError: it is gone.
        """
        return SourceInfo(self._entry(digest).size, _key(digest))

    def _entry(self, digest: str) -> _Entry:
        entry = self._entries.get(_key(digest))
        if entry is None:
            raise SourceError("the store has not the image any more; ask again soon")
        return entry

    async def _remove_oldest(self) -> None:
        before = self._now() - IN_USE_S
        idle = [
            (entry.used_at, key)
            for key, entry in self._entries.items()
            if not entry.readers and entry.used_at < before
        ]
        if not idle:
            raise StoreError(
                f"the image server's store of {self._max_bytes} bytes is full of images that are being read: "
                "raise --max-store-bytes, or wait",
                reason=ImageReason.STORE_FULL,
            )
        _, key = min(idle)
        entry = self._entries.pop(key)
        with partial.failures():
            await in_thread(entry.path.unlink, missing_ok=True)
        log.info("unpacked_image_removed", digest=f"sha256:{key}", bytes=entry.allocated)

    async def _forget(self, entry: _Entry) -> None:
        """Let an image be made again: its file was removed, for example, or the disk gives it no more."""
        self._entries.pop(entry.path.name, None)
        with suppress(OSError):
            await in_thread(entry.path.unlink)

    def _now(self) -> float:
        return self._clock.now().timestamp()


class StoredImage:
    """One unpacked image, as a source."""

    kind: ClassVar[str] = "store"

    def __init__(self, store: Store, digest: str) -> None:
        self._store = store
        self._digest = digest

    async def stat(self) -> SourceInfo:
        """Return its size; the version is the content itself."""
        return self._store.info(self._digest)

    def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a range."""
        return self._store.read(self._digest, start, end)


def _key(digest: str) -> str:
    return Digest.parse(digest).hex


def _open(entry: _Entry) -> FileIO:
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with suppress(OSError):  # only the order in which files go after the next start
        os.utime(descriptor, (entry.used_at, entry.used_at))
    return FileIO(descriptor)


def _part(file: FileIO, start: int, end: int) -> bytes:
    chunk = os.pread(file.fileno(), min(CHUNK_BYTES, end - start), start)
    if not chunk:
        raise OSError(errno.EIO, "the file was cut short")
    return chunk


def _taken_over(directory: Path) -> dict[str, _Entry]:
    entries = {}
    for path in directory.iterdir():
        if path.suffix == partial.SUFFIX:
            path.unlink()
        elif _NAME.fullmatch(path.name):
            found = path.stat()
            entries[path.name] = _Entry(
                path, found.st_size, found.st_blocks * _BLOCK_BYTES, used_at=found.st_mtime
            )
    return entries
