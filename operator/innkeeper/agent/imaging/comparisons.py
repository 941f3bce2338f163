"""Whether a whole image of this host is what a manifest says: what an order must bring before its guest reads one.

Whoever makes an Image may claim any digest and bring a manifest of their own: the digest alone opens nothing here. Bytes
with one digest match one manifest or they do not, so what was found out is noted beside the image, and holds also for
another process. A whole image without a note (of an older version, or copied without a manifest) is compared: once, in
threads, one image at a time, the smallest first, and however long who waits for it may wait.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from innkeeper.agent.imaging.files import ImageFiles
from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.domain.images.digests import Digest, Hash
from innkeeper.domain.images.manifest import Chunks
from innkeeper.to_its_end import in_thread

log = structlog.get_logger(__name__)

_PIECE_BYTES = 1024**2
_PART_BYTES = 64 * 1024**2  # that are read before a cancellation is heard


class WholeUnreadableError(DownloadFailedError):
    """The disk does not give a whole image that lies here."""


class Comparisons:
    """What is known of the whole images of a host, and what is being found out."""

    def __init__(self, files: ImageFiles) -> None:
        self._files = files
        self._turn = asyncio.Condition()  # held by the one image that is being read
        self._waiting: dict[str, int] = {}  # the bytes of images that are to be compared
        self._running: dict[str, asyncio.Task[bool]] = {}
        self._unnoted: set[str] = set()  # found to be equal, and the disk refuses the note

    @property
    def is_busy(self) -> bool:
        """Tell whether an image is being compared, or waits for its turn."""
        return bool(self._running)

    async def is_whole(self, name: str, chunks: Chunks) -> bool:
        """Tell whether the whole image of a stream is here and is what the stream's manifest says.

        A caller that waits no longer ends nothing: the next one waits for the same comparison.

        Raises:
            WholeUnreadableError: it cannot be read.
        """
        if await asyncio.to_thread(self._files.is_whole, name):
            return True
        if not await asyncio.to_thread(self._files.whole_of(name).exists):
            return False
        if name in self._unnoted:
            await self._note(name)
            return True
        task = self._running.get(name)
        if task is None:
            task = self._running[name] = asyncio.create_task(self._compare(name, chunks))
            task.add_done_callback(lambda _: self._running.pop(name))
        return await asyncio.shield(task)

    async def is_itself(self, name: str) -> bool:
        """Tell whether the whole image of a stream still has the digest that it came with.

        Raises:
            WholeUnreadableError: it cannot be read.
        """
        whole = self._files.whole_of(name)
        declared = Digest.of_hex(whole.name)
        hashed, offset = declared.new_hash(), 0
        try:
            while count := await in_thread(_hash_part, whole, hashed, offset):
                offset += count
        except OSError as error:
            raise _unreadable(error) from error
        return declared.mismatch(declared.found_by(hashed)) is None

    async def close(self) -> None:
        """End what runs; it begins anew the next time."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _compare(self, name: str, chunks: Chunks) -> bool:
        try:
            is_equal = await self._is_equal(name, chunks)
        except OSError as error:
            log.warning("image_not_compared", image=name, error=error.strerror)
            raise _unreadable(error) from error
        if not is_equal:
            log.warning("image_not_of_manifest", image=name)
            return False
        log.info("image_compared", image=name)
        await self._note(name)
        return True

    async def _note(self, name: str) -> None:
        """Note that an image is equal; where the disk refuses, this process knows it, and the next one compares again."""
        try:
            await in_thread(self._files.note_match, name)
        except OSError as error:
            log.warning("match_not_noted", image=name, error=error.strerror)
            self._unnoted.add(name)
        else:
            self._unnoted.discard(name)

    async def _is_equal(self, name: str, chunks: Chunks) -> bool:
        whole = self._files.whole_of(name)
        if (await asyncio.to_thread(whole.stat)).st_size != chunks.size:
            return False
        step = max(1, _PART_BYTES // chunks.chunk_bytes)
        async with self._in_turn(name, chunks.size):
            for first in range(0, len(chunks), step):
                if not await in_thread(_matches, whole, chunks, first, min(first + step, len(chunks))):
                    return False
        return True

    @asynccontextmanager
    async def _in_turn(self, name: str, size: int) -> AsyncIterator[None]:
        """Wait until no other image is being read and no smaller one waits: so the most guests start the soonest."""
        self._waiting[name] = size
        try:
            async with self._turn:
                try:
                    await self._turn.wait_for(
                        lambda: name == min(self._waiting, key=self._waiting.__getitem__)
                    )
                    yield
                finally:
                    self._waiting.pop(name)
                    self._turn.notify_all()
        finally:
            self._waiting.pop(name, None)


def _matches(path: Path, chunks: Chunks, first: int, behind: int) -> bool:
    """Tell whether a run of chunks of a file is what the manifest says. Memory: one chunk."""
    with path.open("rb", buffering=0) as file:
        spans = (chunks.span(index) for index in range(first, behind))
        pieces = (os.pread(file.fileno(), end - start, start) for start, end in spans)
        return all(chunks.matches(index, piece) for index, piece in enumerate(pieces, first))


def _hash_part(path: Path, hashed: Hash, offset: int) -> int:
    """Feed a part of a file to a hash; return its bytes, 0 at the end. Memory: one piece."""
    with path.open("rb", buffering=0) as file:
        start = offset
        while offset - start < _PART_BYTES and (piece := os.pread(file.fileno(), _PIECE_BYTES, offset)):
            hashed.update(piece)
            offset += len(piece)
    return offset - start


def _unreadable(error: OSError) -> WholeUnreadableError:
    return WholeUnreadableError(f"the image that lies on this host cannot be read: {error.strerror}")
