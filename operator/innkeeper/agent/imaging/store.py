"""The images of this host: one file for each digest, shared by all guests that boot it; each guest's disk is an overlay.

An image is fetched once, however many guests ask at the same time, and kept while a guest here uses it. One with a chunk
manifest is served by the streaming process while it arrives; any other one is copied first. Who uses what is a file for
each guest, so it is still known after a restart.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry

from innkeeper.agent.build.ports import Backing, Progress, Seed, Streamed, TokenSource
from innkeeper.agent.figures import ImageFigures
from innkeeper.agent.imaging import overlay as overlays
from innkeeper.agent.imaging import seed as seeds
from innkeeper.agent.imaging.comparisons import Comparisons
from innkeeper.agent.imaging.download import Downloader
from innkeeper.agent.imaging.files import ImageFiles, stream_name
from innkeeper.agent.imaging.header import ImageUnreadableError, check_header
from innkeeper.agent.imaging.image_server import ImageServerSession
from innkeeper.agent.imaging.partial import on_disk
from innkeeper.agent.paths import GuestFiles, is_guest_id
from innkeeper.agent.streaming.messages import ImageStatus, Mode
from innkeeper.agent.streaming.ordered_manifest import ManifestWrongError, ordered_manifest
from innkeeper.agent.streaming.origin import ImageServerOrigin
from innkeeper.clock import Clock
from innkeeper.domain.images.digests import Digest, DigestInvalidError
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason, Storage
from innkeeper.errors import InnkeeperError

log = structlog.get_logger()

UNUSED_BYTES = 10 * 1024**3  # of images kept for the next guest
_STEP_PERCENT = 5  # what is shown while an image arrives
_HELD_STEP_PERCENT = 25  # what the scheduler is told
_MOST_HELD = 50


class Streamer(Protocol):
    """The streaming process."""

    @property
    def statuses(self) -> Mapping[str, ImageStatus]:
        """How the served images stood a moment ago, by name."""
        ...

    @property
    def is_heard(self) -> bool:
        """Whether all served images are among the statuses, or were a moment ago."""
        ...

    async def serve(
        self, image: OrderImage, guest_id: str, *, whole_soon: bool = False, has_disk: bool = False
    ) -> ImageStatus:
        """Have an image served to a guest, which may have its disk already; returns when the guest may read."""
        ...

    async def until_whole(self, name: str, progress: Progress) -> None:
        """Wait until all of an image is here."""
        ...

    async def leave(self, name: str, guest_id: str) -> None:
        """A guest needs the stream no more."""
        ...

    async def follow(self, on_news: Callable[[], None]) -> None:
        """Keep `statuses` true, for ever."""
        ...


class HostImageStore:
    """Images under one directory. Without a streamer every image is copied before its guest starts."""

    def __init__(
        self,
        directory: Path,
        *,
        token: TokenSource,
        ca_file: Path | None,
        clock: Clock,
        disks: overlays.DiskTool,
        streamer: Streamer | None = None,
        unused_bytes: int = UNUSED_BYTES,
        figures: ImageFigures | None = None,
    ) -> None:
        self._files = ImageFiles(directory)
        self._clock = clock
        self._disks = disks
        self._streamer = streamer
        self._figures = figures or ImageFigures(CollectorRegistry())
        self._token = token
        self._ca_file = ca_file
        self._downloader = Downloader(token=token, ca_file=ca_file, on_bytes=self._figures.copied)
        self._comparisons = Comparisons(self._files)
        self._unused_bytes = unused_bytes
        self._books = asyncio.Lock()  # who uses what is written down before anybody may drop an image
        self._fetching: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._whole: list[str] = []  # the digests of whole images, those used last first
        self._on_news: Callable[[], None] = lambda: None
        self._looking: asyncio.Future[None] | None = None

    async def fetch(self, image: OrderImage, guest_id: str, progress: Progress, *, storage: str) -> Backing:
        """Return the whole, checked image, or the export from which it can be read while it arrives."""
        name = _name(image)
        target = self._files.whole(name)
        async with self._books:
            await on_disk(self._note_use, guest_id, name)
        is_here = await asyncio.to_thread(target.exists)
        if not await asyncio.to_thread(self._is_whole, image):
            if self._streamer is None or image.manifest_digest is None:
                await self._copy(image, guest_id, target, progress)
            elif not await self._bring(self._streamer, image, guest_id, progress, storage=storage):
                self._figures.found("streamed")
                return overlays.stream_backing(stream_name(image), self._files.nbd_socket)
        await asyncio.to_thread(check_header, target, image)
        self._figures.found("here" if is_here else "copied")
        await self._look_at_whole()
        return Backing(str(target))

    def _is_whole(self, image: OrderImage) -> bool:
        """Tell whether an image that is here is the one of this order.

        Without a manifest the digest alone tells: the image server has read all bytes of that Image's own source, and
        they had it. With one nobody need have read them: it has to match.
        """
        if image.manifest_digest is None:
            return self._files.whole(_name(image)).exists()
        return self._files.is_whole(stream_name(image))

    async def _bring(
        self, streamer: Streamer, image: OrderImage, guest_id: str, progress: Progress, *, storage: str
    ) -> bool:
        """Have an image served; tell whether all of it is here, where that was asked for or found out meanwhile."""
        name, is_copy = stream_name(image), storage == Storage.COPY
        status = await streamer.serve(image, guest_id, whole_soon=is_copy)
        is_here = status.mode is Mode.LOCAL or await asyncio.to_thread(self._files.is_whole, name)
        if not is_copy and not is_here:
            return False
        await streamer.until_whole(name, progress)
        await streamer.leave(name, guest_id)
        if not await asyncio.to_thread(self._files.is_whole, name):
            # A process of an older version serves a whole image by its digest alone, and notes nothing.
            async with self._fetching[image.digest]:
                await self._compare(image, guest_id, progress)
        return True

    async def _copy(self, image: OrderImage, guest_id: str, target: Path, progress: Progress) -> None:
        async with self._fetching[image.digest]:
            if not await asyncio.to_thread(target.exists):
                begun = self._clock.monotonic()
                await self._downloader.fetch(image, guest_id, target, progress)
                log.info(
                    "image_fetched", digest=image.digest, bytes=image.size, s=self._clock.monotonic() - begun
                )
            if image.manifest_digest is not None:
                await self._compare(image, guest_id, progress)

    async def _compare(self, image: OrderImage, guest_id: str, progress: Progress) -> None:
        """Have the whole image be what the order's manifest says; one that the disk damaged is fetched again."""
        name = stream_name(image)
        async with ImageServerSession(self._ca_file) as session:
            origin = ImageServerOrigin(session, image, token=self._token, guests=lambda: (guest_id,))
            chunks = await ordered_manifest(image, origin, self._files)
        if await self._comparisons.is_whole(name, chunks):
            return
        if not await self._comparisons.is_itself(name):
            log.warning("image_damaged", image=name, message="the disk of this host lost a part of it")
            await self._downloader.fetch(image, guest_id, self._files.whole_of(name), progress)
            if await self._comparisons.is_whole(name, chunks):
                return
        raise ManifestWrongError("the image's bytes are not those of the manifest that the order names")

    async def has_disk(self, disk: Path) -> bool:
        """Tell whether a guest's disk is there."""
        return await asyncio.to_thread(disk.exists)

    async def prepare_overlay(
        self, base: Backing, overlay: Path, *, image: OrderImage, size_bytes: int
    ) -> None:
        """Make the guest's disk; one that is there stays."""
        if await asyncio.to_thread(overlay.exists):
            return
        await self._disks.create(overlay, base, image_format=image.format, size_bytes=size_bytes)

    async def before_start(self, image: OrderImage, guest_id: str, disk: Path) -> None:
        """Put the disk onto the whole image where that is here by now, else have the stream served."""
        await asyncio.to_thread(self._disks.take_back, disk)
        stream = await asyncio.to_thread(overlays.stream_of, disk)
        if stream is None:
            return
        # What the guest has written belongs to the bytes that it began with, whatever its order says by now.
        is_of_image = stream.partition(".")[0] == _name(image)
        if is_of_image and await asyncio.to_thread(self._files.is_whole, stream):
            whole = Backing(str(self._files.whole_of(stream)))
            await self._disks.put_onto(disk, whole, image_format=image.format)
            await self.leave(stream, guest_id)
        else:
            await self._serve(image, guest_id)

    async def before_resume(self, image: OrderImage, guest_id: str, disk: Path) -> None:
        """Have the stream served, and fetched again what reads failed on."""
        if await self.is_on_stream(disk):
            await self._serve(image, guest_id)

    def stands(self, image: OrderImage, guest_id: str) -> str:
        """Say in steps how much of the image is here."""
        status = self._statuses().get(stream_name(image)) if image.manifest_digest else None
        if status is None and image.manifest_digest and self._streamer and not self._streamer.is_heard:
            return ""  # an agent that has just started
        if status is None or guest_id not in status.guests:
            return "the image is Local"
        if status.mode is Mode.OPENING:
            return "Streaming"
        if status.mode is Mode.LOCAL:
            return "Streaming, all of the image is here"
        percent = status.percent - status.percent % _STEP_PERCENT
        trouble = f"; {status.message}" if status.message else ""
        return f"Streaming, {percent} % of the image is here{trouble}"

    def streaming(self) -> Mapping[str, Streamed]:
        """Return the images that are served."""
        return {
            name: Streamed(is_whole=status.mode is Mode.LOCAL, guests=status.guests)
            for name, status in self._statuses().items()
        }

    def held(self) -> Mapping[str, int]:
        """Return whole images, and those of which at least a quarter is here."""
        found = dict.fromkeys(self._whole, 100)
        for name, status in self._statuses().items():
            percent = status.percent - status.percent % _HELD_STEP_PERCENT
            if percent and status.mode is Mode.STREAMING:
                found[str(Digest.of_hex(name.partition(".")[0]))] = percent
        return dict(list(found.items())[:_MOST_HELD])

    async def is_on_stream(self, disk: Path) -> bool:
        """Tell whether a guest's disk lies over a stream; one that is not there does not."""
        return await asyncio.to_thread(overlays.stream_of, disk) is not None

    async def leave(self, name: str, guest_id: str) -> None:
        """A guest needs the stream no more."""
        if self._streamer is not None:
            await self._streamer.leave(name, guest_id)

    async def follow(self, on_news: Callable[[], None]) -> None:
        """Keep the streaming process alive while it is needed."""
        await on_disk(self._files.make)
        self._on_news = on_news
        await self._let_go_of_forgotten()
        await self._look_at_whole()
        if self._streamer is None:
            await asyncio.Event().wait()
        else:
            self._figures.goes_on(each.stem for each in self._files.records.glob("*.json"))
            await self._streamer.follow(self._heard)

    def _heard(self) -> None:
        self._figures.streamed(self._statuses())
        self._looking = asyncio.ensure_future(self._look_at_whole())
        self._on_news()

    async def _look_at_whole(self) -> None:
        whole = await asyncio.to_thread(self._files.whole_images)
        if set(whole) != set(self._whole):
            self._whole = whole
            self._on_news()

    async def write_seed(self, seed: Seed, target: Path) -> None:
        """Write what cloud-init reads."""
        await asyncio.to_thread(seeds.write, seed, target)

    async def user_data_in(self, seed: Path) -> bytes | None:
        """Read it back."""
        return await asyncio.to_thread(seeds.user_data_in, seed)

    async def set_aside(self, guest_id: str) -> None:
        """The guest's files were set aside; its image is let go once somebody has removed them."""
        async with self._books:
            await on_disk(self._files.set_use_aside, guest_id)
        await self._let_go_of_forgotten()

    async def _let_go_of_forgotten(self) -> None:
        """Look which files that were set aside are gone by now: at the start, and whenever an image is let go."""
        for use in await asyncio.to_thread(self._files.forgotten_uses):
            await self._let_go(use)

    async def release(self, guest_id: str) -> None:
        """The guest is gone; of the images that nobody uses any more, the newest stay for a while."""
        await self._let_go_of_forgotten()
        await self._let_go(guest_id)

    async def _let_go(self, use: str) -> None:
        for name in await asyncio.to_thread(self._streams_of, use):
            await self.leave(name, use.partition(".")[0])
        async with self._books:
            await on_disk(self._drop_use, use)
        await self._look_at_whole()

    async def _serve(self, image: OrderImage, guest_id: str) -> None:
        if self._streamer is None:
            raise InnkeeperError(
                "the disk lies over a stream, and this agent has none",
                reason=GuestReason.IMAGE_DOWNLOAD_FAILED,
            )
        await self._streamer.serve(image, guest_id, has_disk=True)

    def _statuses(self) -> Mapping[str, ImageStatus]:
        return {} if self._streamer is None else self._streamer.statuses

    def _streams_of(self, use: str) -> list[str]:
        note = self._files.uses / use
        image = note.read_text() if note.exists() else ""
        return [each.stem for each in self._files.records.glob(f"{image}.*.json")] if image else []

    def _note_use(self, guest_id: str, name: str) -> None:
        self._files.make()
        self._files.write(self._files.uses / guest_id, name.encode())

    def _drop_use(self, use: str) -> None:
        note = self._files.uses / use
        if not note.exists():
            return
        name = note.read_text()
        note.unlink()
        for image in (self._files.whole(name), *self._files.directory.glob(f"{name}.*.stream")):
            if image.exists():
                image.touch()  # the time of its last use
        self._drop_unused()

    def _drop_unused(self) -> None:
        """Drop images without a user, those longest without one first, until the rest is small enough."""
        uses, directory = self._files.uses, self._files.directory
        used = {note.read_text() for note in uses.iterdir()}
        guests = directory.parent / "guests"
        unnoted = (
            {each.name for each in guests.iterdir() if _may_have_disk(each)} if guests.is_dir() else set()
        )
        unnoted -= {note.name for note in uses.iterdir()}
        if unnoted or "" in used:
            # A disk whose image nobody noted: it could be any of them.
            log.warning("images_kept", guests_without_note=sorted(unnoted))
            return
        files = [each for each in directory.iterdir() if each.is_file()]
        unused = [
            each
            for each in files
            if each.name.partition(".")[0] not in used and each.suffix not in {".manifest", ".match", ".new"}
        ]
        kept = 0
        for image in sorted(unused, key=lambda each: each.stat().st_mtime_ns, reverse=True):
            kept += image.stat().st_blocks * 512
            if image.suffix not in {"", ".stream"} or kept > self._unused_bytes:
                image.unlink()
                for kind in ("manifest", "match"):
                    for beside in directory.glob(f"{image.stem}*.{kind}"):
                        beside.unlink()
                log.info("image_dropped", file=image.name)


def _may_have_disk(directory: Path) -> bool:
    """Tell whether something in the directory of guests has a guest's disk, as far as it can be seen.

    On a file system of its own that directory holds `lost+found`, and people lay things down there.
    """
    if not is_guest_id(directory.name):
        return False
    try:
        GuestFiles(directory).disk.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _name(image: OrderImage) -> str:
    try:
        return Digest.parse(image.digest).hex
    except DigestInvalidError as error:
        raise ImageUnreadableError(error.message) from error
