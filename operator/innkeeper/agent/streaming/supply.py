"""What is fetched when, for one image: what a guest waits for at once, what it will read soon next, the rest in the end.

Each chunk is fetched once however many wait for it. A chunk that is not what the manifest says is fetched again a few
times, and then refused to who reads it: wrong bytes never get further than here. An origin that is slow or away makes
readers wait, and is asked again for as long as it takes. A chunk that the disk has no room for is handed on from memory.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.agent.streaming.boot_profile import RUN_CHUNKS, BootWatch, runs
from innkeeper.agent.streaming.chunk_file import ChunkFile
from innkeeper.agent.streaming.chunk_index import ChunkIndex
from innkeeper.agent.streaming.nbd.export import ReadFailedError
from innkeeper.agent.streaming.origin import Origin
from innkeeper.agent.streaming.pace import Pace
from innkeeper.clock import Clock
from innkeeper.to_its_end import in_thread

log = structlog.get_logger(__name__)

TRIES = 3  # of a chunk that is wrong
MOST_BEYOND = 8  # chunks behind a miss, at most; docs/explanation/performance.md
AHEAD_RUNS = 2  # requests ahead of guests at once: one is on its way while the next is asked for
FIRST_RETRY_S, SLOWEST_RETRY_S = 0.25, 5.0
DISK_FULL_PAUSE_S = 10.0


class WrongChunkError(ReadFailedError):
    """A chunk stayed wrong."""

    def __init__(self, message: str, *, index: int) -> None:
        super().__init__(message)
        self.index = index


@dataclass
class Trouble:
    """What is wrong with an image at the moment."""

    wrong: set[int] = field(default_factory=set)  # chunks that are not what the manifest says
    refused: set[int] = field(default_factory=set)  # those that guests wanted to read, and did not get
    away: str | None = None  # why nothing comes
    disk: str | None = None  # why nothing can be kept


@dataclass(frozen=True)
class Fetched:
    """Bytes that were fetched, by where they came from."""

    origin: int = 0
    host: int = 0


class Supply:
    """Brings the chunks of one image into its file. `changed` is called when how it stands may be told anew."""

    def __init__(
        self,
        name: str,
        file: ChunkFile,
        origin: Origin,
        *,
        index: ChunkIndex,
        pace: Pace,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._name = name
        self._file = file
        self._origin = origin
        self._index = index
        self._pace = pace
        self._clock = clock
        self._changed = changed
        self._coming: dict[int, asyncio.Future[bytes | None]] = {}
        self._fetches: set[asyncio.Task[None]] = set()
        self._guests_wait = 0
        self._nobody_waits = asyncio.Event()
        self._nobody_waits.set()
        self.is_profile_known = False
        self._looked_at = -1  # the wrong chunk that was fetched again last
        self.watch = BootWatch(len(file.chunks), clock)
        self.trouble = Trouble()
        self.fetched = Fetched()

    async def need(self, first: int, behind: int) -> dict[int, bytes]:
        """Wait until a guest can read a run of chunks; return those that could not be kept in the file.

        Raises:
            WrongChunkError: one of them cannot be had.
        """
        missing = [index for index in range(first, behind) if not self._file.has(index)]
        if not missing:
            return {}
        self._guests_wait += 1
        self._nobody_waits.clear()
        try:
            wanted = {index: self._get(index) for index in missing if index in self._coming}
            new = [index for index in missing if index not in wanted]
            for run in runs([*new, *self._beyond(new)]):
                self._start(*run)
            wanted |= {index: self._get(index) for index in new}
            found = await asyncio.gather(*wanted.values())
        finally:
            self._guests_wait -= 1
            if not self._guests_wait:
                self._nobody_waits.set()
        return {index: content for index, content in zip(wanted, found, strict=True) if content is not None}

    async def ahead(self, order: Iterable[int]) -> None:
        """Fetch chunks in an order, before guests ask for them; a guest that waits goes first."""
        self.is_profile_known = True
        slots = asyncio.Semaphore(AHEAD_RUNS)
        known = (index for index in order if index < len(self._file.chunks))
        for first, behind in runs(index for index in known if not self._file.has(index)):
            await slots.acquire()
            await self._nobody_waits.wait()
            todo = [index for index in range(first, behind) if self._is_open(index)]
            started = [self._start(*run) for run in runs(todo)]
            if not started:
                slots.release()
            for number, task in enumerate(started):
                if number == 0:
                    task.add_done_callback(lambda _: slots.release())

    async def fill(self) -> None:
        """Fetch all that is missing, at the pace that is allowed, while no guest waits. Ends when nothing is missing.

        Chunks that stay wrong are left out, until `look_again` finds that they may be right by now.
        """
        at = 0
        while not self._file.is_whole:
            at = next(self._still_open(at), -1)
            if at < 0:
                at = next(self._still_open(0), -1)
            if at < 0:
                if not self._coming:
                    return
                await asyncio.wait(self._coming.values(), return_when=asyncio.FIRST_COMPLETED)
                at = 0
                continue
            behind = at + 1
            while behind < min(at + RUN_CHUNKS, len(self._file.chunks)) and self._is_open(behind):
                behind += 1
            await self._pace.take(self._file.chunks.span(behind - 1)[1] - self._file.chunks.span(at)[0])
            if self.trouble.disk is not None:
                await self._clock.sleep(DISK_FULL_PAUSE_S)
            await self._nobody_waits.wait()
            # A guest may have asked for some of them meanwhile.
            todo = [index for index in range(at, behind) if self._is_open(index)]
            if started := [self._start(*run) for run in runs(todo)]:
                await asyncio.wait(started)
            at = behind

    async def look_again(self) -> None:
        """Fetch one wrong chunk again, each time the next; if it is right by now, leave none of the others out."""
        wrong = sorted(self.trouble.wrong)
        if not wrong:
            return
        index = self._looked_at = next((each for each in wrong if each > self._looked_at), wrong[0])
        await self._nobody_waits.wait()
        if self._is_open(index):
            await asyncio.wait((self._start(index, index + 1),))
        if index not in self.trouble.wrong:
            self.trouble.wrong.clear()
            self._changed()

    async def retry(self, chunks: Iterable[int]) -> None:
        """Fetch chunks again that were wrong.

        Raises:
            WrongChunkError: one still is.
        """
        for index in sorted(chunks):
            await self.need(index, index + 1)

    async def close(self) -> None:
        """End all fetching; who waits is refused."""
        for task in self._fetches:
            task.cancel()
        await asyncio.gather(*self._fetches, return_exceptions=True)

    def _is_open(self, index: int) -> bool:
        """Tell whether a chunk is neither there nor on its way."""
        return not self._file.has(index) and index not in self._coming

    def _still_open(self, start: int) -> Iterator[int]:
        return (
            each
            for each in self._file.missing(start)
            if each not in self._coming and each not in self.trouble.wrong
        )

    def _get(self, index: int) -> "asyncio.Future[bytes | None]":
        """Return what a reader waits for: a reader that leaves ends nothing."""
        return asyncio.shield(self._coming[index])

    def _beyond(self, new: Sequence[int]) -> Iterator[int]:
        """Yield what lies behind a miss while nobody knows what boots read: one chunk, and one more for each read before.

        Asking costs more than bytes, and who has read a long run goes on more often than who has just come.
        """
        if not new or self.is_profile_known:
            return
        most = 1 + self.watch.run_before(new[-1], most=MOST_BEYOND - 1)
        for index in range(new[-1] + 1, min(new[-1] + 1 + most, len(self._file.chunks))):
            if not self._is_open(index):
                return
            yield index

    def _start(self, first: int, behind: int) -> "asyncio.Task[None]":
        loop = asyncio.get_running_loop()
        for index in range(first, behind):
            if index in self._coming:
                raise RuntimeError(f"chunk {index} is on its way already")
            self._coming[index] = loop.create_future()
        task = asyncio.create_task(self._bring(first, behind))
        self._fetches.add(task)
        task.add_done_callback(self._fetches.discard)
        return task

    async def _bring(self, first: int, behind: int) -> None:
        """Bring a run of chunks, however long it takes."""
        pause, index, tries = FIRST_RETRY_S, first, 0
        try:
            while (index := await self._from_host(index, behind)) < behind:
                try:
                    gap = await in_thread(self._file.gap, index, behind)
                    before, index = index, await self._from_origin(index, gap)
                    pause = FIRST_RETRY_S
                except DownloadFailedError as error:
                    # An answer that broke off brought something: the next request tells whether the origin is away.
                    if self._file.has(index):
                        pause = FIRST_RETRY_S
                    else:
                        self._note_away(error.message)
                    if pause == FIRST_RETRY_S:
                        for each in range(index + 1, behind):  # who reads these need not wait for the origin
                            await self._from_host(each, each + 1)
                    await self._clock.sleep(pause)
                    pause = min(pause * 2, SLOWEST_RETRY_S)
                    continue
                tries = tries + 1 if index == before else 0
                if tries >= TRIES:
                    self._refuse(index)
                    index, tries = index + 1, 0
        finally:
            for each in range(index, behind):
                self._refuse(each, is_wrong=False)

    async def _from_host(self, index: int, behind: int) -> int:
        """Take what lies on this host already; return the first chunk that does not."""
        while index < behind:
            if not await in_thread(self._file.verify, index):
                wanted = self._file.chunks.digest(index)
                content = await in_thread(self._index.find, wanted, besides=self._name)
                if content is None or not self._file.chunks.matches(index, content):
                    return index
                self.fetched = Fetched(self.fetched.origin, self.fetched.host + len(content))
                await self._keep(index, content)
            else:
                self._settle(index, None)
            index += 1
        return index

    async def _from_origin(self, index: int, behind: int) -> int:
        """Fetch chunks in order; return the first that did not come right."""
        async with aclosing(self._origin.fetch(self._file.chunks, index, behind)) as pieces:
            async for content in pieces:
                self.fetched = Fetched(self.fetched.origin + len(content), self.fetched.host)
                # Before a reader goes on: nobody who has its bytes is told that none come.
                self._note_away(None)
                if not self._file.chunks.matches(index, content):
                    log.warning("chunk_wrong", image=self._name, index=index)
                    break
                await self._keep(index, content)
                index += 1
        return index

    async def _keep(self, index: int, content: bytes) -> None:
        kept: bytes | None = None
        try:
            await in_thread(self._file.write, index, content)
            trouble = None
        except OSError as error:
            kept, trouble = content, f"this host cannot keep the image: {error.strerror}"
        if trouble != self.trouble.disk:
            self.trouble.disk = trouble
            log.warning("image_disk", image=self._name, trouble=trouble)
        self._settle(index, kept)

    def _settle(self, index: int, content: bytes | None) -> None:
        self.trouble.wrong.discard(index)
        self.trouble.refused.discard(index)
        future = self._coming.pop(index, None)
        if future is not None and not future.done():
            future.set_result(content)
        self._changed()

    def _refuse(self, index: int, *, is_wrong: bool = True) -> None:
        if is_wrong:
            self.trouble.wrong.add(index)
            self._changed()
        future = self._coming.pop(index, None)
        if future is not None and not future.done():
            start, end = self._file.chunks.span(index)
            future.set_exception(
                WrongChunkError(f"bytes {start} to {end} of the image are not the right ones", index=index)
            )
            future.exception()  # nobody need be waiting for it

    def _note_away(self, why: str | None) -> None:
        if why != self.trouble.away:
            self.trouble.away = why
            log.warning("origin_away" if why else "origin_back", image=self._name, why=why)
            self._changed()
