"""An image in the making: a sparse file, of which each chunk is there, known to be zeros, or missing.

Which chunks are there is written down nowhere. After a kill what lies in the file is compared with the manifest again,
chunk by chunk, when it is asked for: a chunk that was half written is missing. So it is after an error of the disk, which
comes long after a write and names no chunk: `confirm` asks for it while chunks come. `settle` has everything on the disk,
and from then on it is read from there.
Blocking, but for what is answered from memory; callers use threads.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from innkeeper import whole_files
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.manifest import Chunks

_MISSING, _UNKNOWN, _THERE = 0, 1, 2
_READ_BYTES = 1024 * 1024


class ChunkFile:
    """One image's file. Its size is that of the image from the beginning on; a whole one was checked before."""

    def __init__(self, path: Path, chunks: Chunks, *, is_whole: bool = False) -> None:
        self.chunks = chunks
        self.path = path
        flags = os.O_RDONLY if is_whole else os.O_RDWR | os.O_CREAT
        self.file: BinaryIO = os.fdopen(os.open(path, flags | os.O_CLOEXEC, 0o600), "rb", 0)
        self._changing = threading.Lock()  # a chunk that is looked at is not written meanwhile
        self._states = bytearray(len(chunks))
        self._unconfirmed: set[int] = set()  # chunks that may not be on the disk yet
        self.total = 0  # bytes that are not zeros
        for index in range(len(chunks)):
            if chunks.is_zero(index):
                self._states[index] = _THERE
            else:
                self.total += self._length(index)
        self.here = 0  # bytes of these that are there
        if is_whole:
            self._states = bytearray([_THERE]) * len(chunks)
            self.here = self.total
            return
        try:
            os.truncate(self.file.fileno(), chunks.size)
            self._look_at_extents()
        except OSError:
            self.close()
            raise

    def has(self, index: int) -> bool:
        """Tell whether a chunk can be read from the file, as far as that is known."""
        return self._states[index] == _THERE

    def has_all(self, first: int, behind: int) -> bool:
        """Tell whether all chunks of a run can be read."""
        return self._states.count(_THERE, first, behind) == behind - first

    @property
    def is_there(self) -> bool:
        """Whether it can be read: as long as it is open, whatever its name is."""
        return not self.file.closed

    @property
    def is_whole(self) -> bool:
        """Whether every chunk is there."""
        return self.has_all(0, len(self._states))

    def verify(self, index: int) -> bool:
        """Find out whether a chunk that an earlier process may have written is there."""
        with self._changing:
            if self._states[index] == _UNKNOWN:
                if self._lies_there(index) is not None:
                    self._found(index)
                else:
                    self._states[index] = _MISSING
        return self.has(index)

    def gap(self, index: int, behind: int) -> int:
        """Return where a run of missing chunks ends that begins with `index`, at `behind` at the latest."""
        end = index + 1
        while end < behind and not self.verify(end):
            end += 1
        return end

    def read(self, index: int) -> bytes | None:
        """Return a chunk, checked, or None."""
        return self._lies_there(index) if self.has(index) else None

    def write(self, index: int, content: bytes) -> None:
        """Keep a chunk whose content was checked.

        Raises:
            OSError: the disk is full, for example; what lies there is then not taken for the chunk.
        """
        view, offset = memoryview(content), self.chunks.span(index)[0]
        with self._changing:
            while view:
                written = os.pwrite(self.file.fileno(), view, offset)
                if written == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                view, offset = view[written:], offset + written
            if self.has(index):
                self._unconfirmed.add(index)
            else:
                self._found(index)

    def missing(self, start: int = 0) -> Iterator[int]:
        """Yield the chunks that are not known to be there, in order."""
        for index in range(start, len(self._states)):
            if self._states[index] != _THERE:
                yield index

    def confirm(self) -> None:
        """Have on the disk what came since the last time; it stays in memory, since guests read it now.

        Raises:
            OSError: the disk did not take some of it: each of these chunks is looked at again.
        """
        with self._changing:
            asked, self._unconfirmed = self._unconfirmed, set()
        if not asked:
            return
        try:
            os.fdatasync(self.file.fileno())
        except OSError:
            with self._changing:
                # What was written meanwhile may be lost as well, and the kernel will not say so again.
                asked |= self._unconfirmed
                self._unconfirmed = set()
            self._doubt(asked)
            raise

    def settle(self) -> None:
        """Have all that was written on the disk, and forget it in memory.

        Raises:
            OSError: the disk did not take some of it. Nobody knows which chunks, so each is looked at again.
        """
        try:
            os.fsync(self.file.fileno())
        except OSError:
            # The kernel tells this once, and may show the lost pages until it forgets them.
            self._doubt(range(len(self._states)))
            raise
        self._forget_pages()

    def mismatch(self, declared: Digest) -> str | None:
        """Read all of it, and say how it differs from what was declared.

        Raises:
            OSError: the disk gives some of it no more; each chunk is looked at again.
        """
        hashed, offset = declared.new_hash(), 0
        try:
            while piece := os.pread(self.file.fileno(), _READ_BYTES, offset):
                hashed.update(piece)
                offset += len(piece)
        except OSError:
            self._doubt(range(len(self._states)))
            raise
        return declared.mismatch(declared.found_by(hashed))

    def recheck(self) -> bool:
        """Look at each chunk again; tell whether all of them are what the manifest names."""
        every = range(len(self._states))
        self._doubt(every)
        for index in every:
            self.verify(index)
        return self.is_whole

    def finish(self, target: Path) -> None:
        """Give the file, which is whole and was settled, its final name; who reads it reads on."""
        os.fchmod(self.file.fileno(), 0o644)  # QEMU runs as another user, and reads it only
        self.path = self.path.replace(target)
        whole_files.sync(target.parent)  # disks of guests name the file from now on

    def close(self) -> None:
        """Close the file; what is there stays for the next time, which takes nothing of it unseen."""
        with suppress(OSError):  # of a write long ago
            self.file.close()

    def _found(self, index: int) -> None:
        self._states[index] = _THERE
        self._unconfirmed.add(index)  # also one that an earlier process wrote
        self.here += self._length(index)

    def _doubt(self, chunks: Iterable[int]) -> None:
        """Trust these chunks no more."""
        with self._changing:
            self._forget_pages()
            for index in chunks:
                if self.has(index) and not self.chunks.is_zero(index):
                    self._states[index] = _UNKNOWN
                    self.here -= self._length(index)

    def _forget_pages(self) -> None:
        os.posix_fadvise(self.file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _lies_there(self, index: int) -> bytes | None:
        """Return what lies in the file if it is the chunk."""
        try:
            content = self._pread(index)
        except OSError:  # a part of the disk that cannot be read: writing may mend it
            return None
        except ValueError:  # closed: another stream came here for a copy just when this one ended
            return None
        return content if self.chunks.matches(index, content) else None

    def _look_at_extents(self) -> None:
        """Take what lies in the file for chunks that may be there."""
        fd, end, size = self.file.fileno(), 0, self.chunks.chunk_bytes
        while True:
            try:
                start = os.lseek(fd, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole behind it
                    return
                raise
            end = os.lseek(fd, start, os.SEEK_HOLE)
            for index in range(start // size, -(-end // size)):
                if self._states[index] == _MISSING:
                    self._states[index] = _UNKNOWN

    def _length(self, index: int) -> int:
        start, end = self.chunks.span(index)
        return end - start

    def _pread(self, index: int) -> bytes:
        start, end = self.chunks.span(index)
        return os.pread(self.file.fileno(), end - start, start)
