"""Whether a whole image of this host is what a manifest says: what an order must bring before its guest reads one.

Whoever makes an Image may claim any digest and bring a manifest of their own: the digest alone opens nothing here. Bytes
with one digest match one manifest or they do not, so what was found out is noted beside the image, and holds also for
another process. A whole image without a note (of an older version, or copied without a manifest) is compared: once, in
threads, a part at a time, and however long who waits for it may wait.
"""

import asyncio
import os
from pathlib import Path

import structlog

from innkeeper.agent.imaging.files import ImageFiles
from innkeeper.domain.images.manifest import Chunks
from innkeeper.to_its_end import in_thread

log = structlog.get_logger(__name__)

_PART_BYTES = 64 * 1024**2  # that one comparison reads before it is another one's turn


class Comparisons:
    """What is known of the whole images of a host, and what is being found out."""

    def __init__(self, files: ImageFiles) -> None:
        self._files = files
        self._turn = asyncio.Lock()  # whatever is compared takes one thread, and goes on in turn
        self._running: dict[str, asyncio.Task[bool]] = {}

    async def is_whole(self, name: str, chunks: Chunks) -> bool:
        """Tell whether the whole image of a stream is here and is what the stream's manifest says.

        A caller that waits no longer ends nothing: the next one waits for the same comparison.
        """
        if await asyncio.to_thread(self._files.is_whole, name):
            return True
        if not await asyncio.to_thread(self._files.whole_of(name).exists):
            return False
        task = self._running.get(name)
        if task is None:
            task = self._running[name] = asyncio.create_task(self._compare(name, chunks))
            task.add_done_callback(lambda _: self._running.pop(name))
        return await asyncio.shield(task)

    def is_running(self, name: str) -> bool:
        """Tell whether the image of a stream is being compared."""
        return name in self._running

    async def close(self) -> None:
        """End what runs; it begins anew the next time."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _compare(self, name: str, chunks: Chunks) -> bool:
        try:
            if not await self._is_equal(self._files.whole_of(name), chunks):
                log.warning("image_not_of_manifest", image=name)
                return False
            await in_thread(self._files.note_match, name)
        except OSError as error:  # its guests read a file of their own
            log.warning("image_not_compared", image=name, error=error.strerror)
            return False
        log.info("image_compared", image=name)
        return True

    async def _is_equal(self, whole: Path, chunks: Chunks) -> bool:
        if (await asyncio.to_thread(whole.stat)).st_size != chunks.size:
            return False
        step = _PART_BYTES // chunks.chunk_bytes
        for first in range(0, len(chunks), step):
            async with self._turn:
                if not await in_thread(_matches, whole, chunks, first, min(first + step, len(chunks))):
                    return False
        return True


def _matches(path: Path, chunks: Chunks, first: int, behind: int) -> bool:
    """Tell whether a run of chunks of a file is what the manifest says. Memory: one chunk."""
    with path.open("rb", buffering=0) as file:
        spans = (chunks.span(index) for index in range(first, behind))
        pieces = (os.pread(file.fileno(), end - start, start) for start, end in spans)
        return all(chunks.matches(index, piece) for index, piece in enumerate(pieces, first))
