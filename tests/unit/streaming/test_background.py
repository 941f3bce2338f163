"""The rest of an image, in the background: no faster than is allowed, and nothing of it while a guest waits.

Time is virtual, and so is the origin: it answers at once, or when a test lets it.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from innkeeper.agent.streaming.boot_profile import RUN_CHUNKS
from innkeeper.agent.streaming.chunk_file import ChunkFile
from innkeeper.agent.streaming.chunk_index import ChunkIndex
from innkeeper.agent.streaming.pace import Pace
from innkeeper.agent.streaming.supply import Supply
from innkeeper.domain.images import manifest
from innkeeper.domain.images.manifest import Chunks
from tests.kit.streams import CHUNK, a_disk, manifest_of
from tests.kit.virtual_loop import SteppedClock, VirtualLoop

CHUNKS_A_S = 2
RATE = CHUNKS_A_S * CHUNK
BURST_S = 0.25
FULL = [*range(4), *range(10, 24)]  # the chunks of a disk that are not zeros
LAST = FULL[-1]


class Wire:
    """What comes from the origin to all images, and when."""

    def __init__(self, directory: Path, *, rate: float) -> None:
        self.clock = SteppedClock()
        self.began = self.clock.monotonic()
        self.came: list[tuple[float, int]] = []  # seconds, bytes
        self.asked: list[tuple[int, int]] = []  # the first chunk, and the one behind the last
        self.held: dict[int, asyncio.Event] = {}  # chunks that do not come yet
        self._directory = directory
        self._files = ExitStack()
        self._pace = Pace(rate, self.clock)

    @property
    def passed_s(self) -> float:
        """Seconds since the beginning."""
        return self.clock.monotonic() - self.began

    def image(self, seed: int) -> Supply:
        """Return what fetches an image of the host."""
        content, name = a_disk(seed), f"image-{seed}"
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        chunks = manifest.read(manifest_of(content, digest=digest), digest=digest, size=len(content))
        file = ChunkFile(self._directory / name, chunks)
        self._files.callback(file.close)
        return Supply(
            name,
            file,
            Source(self, content),
            index=ChunkIndex(),
            pace=self._pace,
            clock=self.clock,
            changed=lambda: None,
        )

    def close(self) -> None:
        """Close the images' files."""
        self._files.close()


class Source:
    """The bytes of one image."""

    def __init__(self, wire: Wire, content: bytes) -> None:
        self._wire = wire
        self._content = content

    async def fetch(self, chunks: Chunks, first: int, behind: int) -> AsyncGenerator[bytes, None]:
        """Yield chunks as soon as they are let."""
        self._wire.asked.append((first, behind))
        for index in range(first, behind):
            if index in self._wire.held:
                await self._wire.held[index].wait()
            start, end = chunks.span(index)
            self._wire.came.append((self._wire.passed_s, end - start))
            yield self._content[start:end]


def in_virtual_time(
    story: Callable[[Wire], Coroutine[Any, Any, None]], directory: Path, *, rate: float = RATE
) -> None:
    async def told() -> None:
        with closing(Wire(directory, rate=rate)) as wire:
            await story(wire)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(told())


def test_all_images_of_a_host_together_come_no_faster_than_is_allowed(tmp_path: Path) -> None:
    async def story(wire: Wire) -> None:
        await asyncio.gather(wire.image(1).fill(), wire.image(2).fill())
        total = 0
        for at, count in wire.came:
            total += count
            assert total <= RATE * (at + BURST_S) + 1, f"after {at} s"
        assert total == 2 * len(FULL) * CHUNK
        assert wire.passed_s <= total / RATE + 0.01, "nothing else held it up"

    in_virtual_time(story, tmp_path)


def test_a_guest_waits_for_no_pace(tmp_path: Path) -> None:
    async def story(wire: Wire) -> None:
        image = wire.image(1)
        filling = asyncio.create_task(image.fill())
        await wire.clock.sleep(60)
        assert not wire.came, "a byte a second"
        await image.need(LAST, LAST + 1)
        assert wire.passed_s < 60.01
        filling.cancel()

    in_virtual_time(story, tmp_path, rate=1)


def test_the_background_asks_for_nothing_while_a_guest_waits(tmp_path: Path) -> None:
    async def story(wire: Wire) -> None:
        image = wire.image(1)
        filling = asyncio.create_task(image.fill())
        await wire.clock.sleep(1.5 * RUN_CHUNKS / CHUNKS_A_S)
        assert wire.asked, "the background has begun, and waits for its pace"
        wire.held[LAST] = asyncio.Event()
        reading = asyncio.create_task(image.need(LAST, LAST + 1))
        await wire.clock.sleep(0)
        begun = list(wire.asked)
        await wire.clock.sleep(3600)
        assert wire.asked == [*begun, (LAST, LAST + 1)]
        assert not reading.done()
        wire.held.pop(LAST).set()
        await reading
        await filling
        assert sum(count for _, count in wire.came) == len(FULL) * CHUNK, "each chunk once"

    in_virtual_time(story, tmp_path)
