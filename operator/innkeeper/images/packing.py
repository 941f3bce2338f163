"""Packs what is sent to hosts, in threads of its own: those that read disks may all hang on one that does not answer."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from innkeeper.domain.images.packing import Packer

# What a frame needs of memory grows with what it is given at once, and each stream has one.
SLICE_BYTES = 256 * 1024


class Packing:
    """As many threads as processors: packing waits for nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="packing")

    async def frame(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield one frame that holds all pieces."""
        packer, loop = Packer(), asyncio.get_running_loop()
        async for piece in pieces:
            for start in range(0, len(piece), SLICE_BYTES):
                part = piece[start : start + SLICE_BYTES]
                yield await loop.run_in_executor(self._threads, packer.pack, part)
        yield packer.end()

    def close(self) -> None:
        """End the threads once they have packed what they are at."""
        self._threads.shutdown(wait=False)
