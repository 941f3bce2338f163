"""One image that is served while it arrives: manifest, file, supply, and the export that QEMU reads.

Its life: the manifest is fetched and must have the digest that the signed order names; the head is looked at by our own
code before anybody may read; then guests read, and when their boot is over the rest comes. The whole is checked against
the image's digest once more, and takes its final name.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import structlog

from innkeeper.agent.imaging.comparisons import Comparisons
from innkeeper.agent.imaging.files import ImageFiles, stream_name
from innkeeper.agent.imaging.header import check_header
from innkeeper.agent.imaging.partial import DownloadFailedError, on_disk
from innkeeper.agent.streaming.chunk_file import ChunkFile
from innkeeper.agent.streaming.chunk_index import ChunkIndex
from innkeeper.agent.streaming.messages import ImageStatus, Mode, Record
from innkeeper.agent.streaming.nbd.export import InFile, ReadFailedError
from innkeeper.agent.streaming.ordered_manifest import ManifestWrongError, ordered_manifest
from innkeeper.agent.streaming.origin import ImageServerOrigin
from innkeeper.agent.streaming.pace import Pace
from innkeeper.agent.streaming.supply import Supply, WrongChunkError
from innkeeper.agent.streaming.whole_images import WholeImage
from innkeeper.clock import Clock
from innkeeper.domain.images import headers
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.profile import ProfileInvalidError
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from innkeeper.to_its_end import in_thread

log = structlog.get_logger(__name__)

LOOK_S = 1.0  # how often it is asked whether the boot is over
WRONG_AGAIN_S = (
    30.0  # how often one of the chunks that stayed wrong is fetched again, for good: sources are mended late
)
CONFIRM_S = 5.0  # how often the disk is asked whether it took what came
DISK_PAUSE_S = 10.0  # until a disk that took no whole image is tried again


@dataclass(frozen=True)
class Surroundings:
    """What the streams of a host share."""

    files: ImageFiles
    comparisons: Comparisons
    index: ChunkIndex
    pace: Pace
    clock: Clock
    changed: Callable[[], None]


class Stream:
    """One image; `open` makes one."""

    def __init__(
        self, record: Record, origin: ImageServerOrigin, around: Surroundings, file: ChunkFile, *, mode: Mode
    ) -> None:
        self.record = record
        self._around = around
        self._origin = origin
        self._file = file
        self._failure: InnkeeperError | None = None
        self._not_kept: str | None = None  # why the whole could not be kept, at the last attempt
        self.is_checked = False  # its head was: guests may read
        self._whole_soon = asyncio.Event()
        self._asking_disk = asyncio.Lock()  # it tells an error once, to whoever asks first
        self._tasks: list[asyncio.Task[None]] = []
        self._supply = Supply(
            self.name,
            file,
            origin,
            index=around.index,
            pace=around.pace,
            clock=around.clock,
            changed=around.changed,
        )
        self.mode = mode
        self.keep(record)

    @classmethod
    async def open(
        cls, record: Record, origin: ImageServerOrigin, around: Surroundings, *, is_equal: bool
    ) -> "Stream":
        """Make what is needed to serve an image; nothing of it may be read before `begin`.

        A whole image that is here is read only if it is what this manifest says; else the stream has its own file, and
        takes from the whole image those chunks that are right. `is_equal`: a comparison has just found that it is.

        Raises:
            ManifestWrongError: the manifest is not the one that was ordered.
            DownloadFailedError: the image server does not answer.
        """
        name = stream_name(record.image)
        chunks = await ordered_manifest(record.image, origin, around.files)
        is_whole = is_equal or await asyncio.to_thread(around.files.is_whole, name)
        whole = around.files.whole_of(name)
        path = whole if is_whole else around.files.stream(name)
        with ExitStack() as undo:  # whoever asked may give up at any moment

            def make() -> ChunkFile:
                file = ChunkFile(path, chunks, is_whole=is_whole)
                undo.callback(file.close)
                return file

            file = await on_disk(make)
            undo.callback(around.index.drop, name)
            await in_thread(around.index.add, name, file)
            if not is_whole and await asyncio.to_thread(whole.exists):
                undo.callback(around.index.drop, _beside(name))
                await in_thread(around.index.add, _beside(name), WholeImage(whole, chunks))
            mode = Mode.LOCAL if is_whole else Mode.STREAMING
            stream = cls(record, origin, around, file, mode=mode)
            undo.pop_all()
        return stream

    @property
    def name(self) -> str:
        """The export's name."""
        return stream_name(self.record.image)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._file.chunks.size

    def keep(self, record: Record) -> None:
        """Go on for other guests."""
        if not set(self.record.guests) <= set(record.guests):
            self._supply.trouble.refused.clear()  # whose reads failed is not known: perhaps the one's that left
        self.record = record
        if record.whole_soon:
            self._whole_soon.set()

    async def begin(self, *, has_disk: bool) -> None:
        """Look at the head, start to fetch ahead of guests, and fetch again what was wrong.

        A guest that has its disk ran on these bytes before: it waits for nothing but the chunks that reads failed on.

        Raises:
            InnkeeperError: the image is none that may be used, or none for a new guest.
            WrongChunkError: a chunk is still wrong.
        """
        trouble = self._supply.trouble
        if not has_disk and self._failure is not None and not self._failure.retryable:
            raise self._failure
        if not self._tasks and self.mode is Mode.STREAMING:
            work = (self._ahead(), self._to_the_end(), self._confirm())
            self._tasks = [asyncio.create_task(each) for each in work]
        if not has_disk:
            await self._check_room()
        if not (has_disk and self.is_checked):
            await self._check_head()
        await self._supply.retry(trouble.refused if has_disk else trouble.wrong)

    def at_hand(self, offset: int, length: int) -> InFile | None:
        """Return where the bytes lie, if all of them are here."""
        first, behind = self._run(offset, length)
        if self.mode is Mode.STREAMING:
            self._supply.watch.touch(first, behind)
        if not self._file.has_all(first, behind):
            return None
        return InFile(self._file.file, is_zero=self._file.chunks.is_zero_run(first, behind))

    async def read(self, offset: int, length: int) -> InFile | bytes:
        """Return the bytes once they are here."""
        first, behind = self._run(offset, length)
        try:
            unkept = await self._supply.need(first, behind)
        except WrongChunkError as error:
            self._supply.trouble.refused.add(error.index)
            raise
        if not unkept:
            return InFile(self._file.file)
        return await in_thread(self._assemble, offset, length, unkept)

    def extents(self, offset: int, length: int) -> Sequence[tuple[int, bool]]:
        """Return what is known to be zeros, by the manifest."""
        found: list[tuple[int, bool]] = []
        first, behind = self._run(offset, length)
        for index in range(first, behind):
            start, end = self._file.chunks.span(index)
            count = min(end, offset + length) - max(start, offset)
            is_zero = self._file.chunks.is_zero(index)
            if found and found[-1][1] == is_zero:
                found[-1] = (found[-1][0] + count, is_zero)
            else:
                found.append((count, is_zero))
        return found

    def status(self, *, clients: int) -> ImageStatus:
        """Return how it stands."""
        trouble = self._trouble()
        return ImageStatus(
            name=self.name,
            guests=self.record.guests,
            mode=self.mode,
            here=self._file.here,
            total=self._file.total,
            clients=clients,
            from_origin=self._supply.fetched.origin,
            from_host=self._supply.fetched.host,
            reason=trouble.reason if trouble else "",
            message=trouble.message if trouble else "",
        )

    async def close(self) -> None:
        """End it; what is here stays on the disk."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._supply.close()
        self._around.index.drop(self.name)
        self._around.index.drop(_beside(self.name))
        if self.mode is Mode.LOCAL:
            self._around.index.add(self.name, WholeImage(self._file.path, self._file.chunks))
        self._file.close()

    async def _check_room(self) -> None:
        """Refuse a new guest while nothing can be kept: it would fetch each chunk for each of its reads."""
        trouble = self._supply.trouble
        if trouble.disk is not None and self._not_kept is None:
            # It may be of long ago: one more chunk is fetched, and there is room where that can be kept.
            missing = next((each for each in self._file.missing() if each not in trouble.wrong), None)
            if missing is not None:
                await self._supply.need(missing, missing + 1)
        if self._disk_trouble is not None:
            raise self._disk_full()

    @property
    def _disk_trouble(self) -> str | None:
        return self._supply.trouble.disk or self._not_kept

    def _disk_full(self) -> DownloadFailedError:
        message = self._disk_trouble or "this host cannot keep the image"
        return DownloadFailedError(message, reason=GuestReason.HOST_DISK_FULL)

    async def _check_head(self) -> None:
        length = min(headers.HEAD_BYTES, self.size)
        if await self._supply.need(0, self._behind(length)):
            raise self._disk_full()
        await in_thread(check_header, self._file.path, self.record.image)
        self.is_checked = True

    def _trouble(self) -> InnkeeperError | None:
        wrong, away = self._supply.trouble.wrong, self._supply.trouble.away
        if self._failure is not None:
            return self._failure
        if wrong:
            where = self._file.chunks.span(min(wrong))[0]
            message = (
                f"{len(wrong)} chunks of the image are not those of its manifest, the first at byte {where}"
            )
            return DownloadFailedError(
                f"{message}: did the source change?", reason=GuestReason.IMAGE_CHUNK_MISMATCH
            )
        if away is not None:
            return DownloadFailedError(away)
        return self._disk_full() if self._disk_trouble is not None else None

    async def _ahead(self) -> None:
        """Fetch what other boots read first, as far as that is known."""
        try:
            order = await self._origin.profile()
        except (DownloadFailedError, ProfileInvalidError) as error:
            log.info("profile_unused", image=self.name, error=error.message)
            return
        if order:
            await self._supply.ahead(order)

    async def _to_the_end(self) -> None:
        """Wait for the boot's end, tell what it read, fetch the rest, and check the whole."""
        boot = asyncio.create_task(self._boot())
        soon = asyncio.create_task(self._whole_soon.wait())
        try:
            await asyncio.wait((boot, soon), return_when=asyncio.FIRST_COMPLETED)
        finally:
            soon.cancel()
            boot.cancel()
        while self.mode is Mode.STREAMING and self._failure is None:
            await self._fill()
            try:
                async with self._asking_disk:
                    await self._finish()
            except DownloadFailedError as error:
                log.warning("image_not_kept", image=self.name, error=error.message)
                self._not_kept = error.message
                self._around.changed()
                await self._around.clock.sleep(DISK_PAUSE_S)

    async def _confirm(self) -> None:
        """Ask the disk from time to time, so that what it lost is missing before a guest reads much of it."""
        while self.mode is Mode.STREAMING:
            await self._around.clock.sleep(CONFIRM_S)
            async with self._asking_disk:
                try:
                    await on_disk(self._file.confirm)
                except DownloadFailedError as error:
                    log.warning("image_not_kept", image=self.name, error=error.message)
                    self._around.changed()

    async def _fill(self) -> None:
        clock = self._around.clock
        looked = clock.monotonic()
        while not self._file.is_whole:
            await self._supply.fill()
            if not self._file.is_whole:
                await clock.sleep(LOOK_S)
            if clock.monotonic() - looked >= WRONG_AGAIN_S:
                await self._supply.look_again()
                looked = clock.monotonic()

    async def _boot(self) -> None:
        while not self._supply.watch.is_over:
            await self._around.clock.sleep(LOOK_S)
        try:
            await self._origin.keep_profile(self._supply.watch.order)
        except DownloadFailedError as error:
            log.info("profile_not_kept", image=self.name, error=error.message)

    async def _finish(self) -> None:
        """Check the whole as it lies on the disk; return with a damaged chunk missing, so that it is fetched again."""
        declared = Digest.parse(self.record.image.digest)
        await on_disk(self._file.settle)
        mismatch = await on_disk(self._file.mismatch, declared)
        if mismatch is not None and not await in_thread(self._file.recheck):
            log.warning("image_damaged", image=self.name, message="the disk of this host lost a part of it")
        elif mismatch is not None:
            # Every chunk is the one that the manifest names: the manifest itself is of other bytes.
            self._failure = ManifestWrongError(f"{mismatch}: its manifest is that of other bytes")
            log.error("image_wrong", image=self.name, message=self._failure.message)
        else:
            await on_disk(self._around.files.note_match, self.name)
            await on_disk(self._file.finish, self._around.files.whole_of(self.name))
            self.mode, self._not_kept = Mode.LOCAL, None
            log.info("image_whole", image=self.name, from_origin=self._supply.fetched.origin)
        self._around.changed()

    def _assemble(self, offset: int, length: int, unkept: dict[int, bytes]) -> bytes:
        pieces = []
        first, behind = self._run(offset, length)
        for index in range(first, behind):
            start, end = self._file.chunks.span(index)
            content = unkept.get(index) or self._file.read(index)
            if content is None:
                raise ReadFailedError(f"bytes {start} to {end} of the image are damaged on this host's disk")
            pieces.append(content[max(0, offset - start) : min(end, offset + length) - start])
        return b"".join(pieces)

    def _run(self, offset: int, length: int) -> tuple[int, int]:
        return offset // self._file.chunks.chunk_bytes, self._behind(offset + length)

    def _behind(self, end: int) -> int:
        return -(-end // self._file.chunks.chunk_bytes)


def _beside(name: str) -> str:
    """Return the name in the index of the whole image that lies beside a stream's own file."""
    return f"{name}.whole"
