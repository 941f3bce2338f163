"""The images of this host: one file for each digest, shared by all guests that boot it; each guest's disk is an overlay.

An image is fetched once, however many guests ask at the same time, and kept while a guest here uses it. Who uses what is
a file for each guest, so it is still known after a restart.
"""

import asyncio
import functools
import os
from collections import defaultdict
from pathlib import Path

import structlog

from innkeeper.agent import programs
from innkeeper.agent.build.ports import Progress, Seed, TokenSource
from innkeeper.agent.imaging import seed as seeds
from innkeeper.agent.imaging.download import Downloader
from innkeeper.agent.imaging.partial import on_disk
from innkeeper.agent.to_its_end import to_its_end
from innkeeper.clock import Clock
from innkeeper.domain.images import headers
from innkeeper.domain.images.digests import Digest, DigestInvalidError
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError, TerminalError

log = structlog.get_logger()

QEMU_IMG = "qemu-img"
QEMU_IMG_DEADLINE_S = 60.0
# However an image is made, the tool that looks at it takes so much and no more (prlimit(1), of util-linux).
LIMITS = ("prlimit", "--cpu=60", f"--as={2 * 1024**3}", "--core=0", "--nofile=64")
UNUSED_BYTES = 10 * 1024**3  # of images kept for the next guest


class ImageUnreadableError(TerminalError):
    """The bytes are the right ones, and no image that may be used."""

    reason = GuestReason.IMAGE_UNREADABLE


class HostImageStore:
    """Images under one directory."""

    def __init__(
        self,
        directory: Path,
        *,
        token: TokenSource,
        ca_file: Path | None,
        clock: Clock,
        unused_bytes: int = UNUSED_BYTES,
    ) -> None:
        self._directory = directory
        self._uses = directory / "uses"
        self._clock = clock
        self._downloader = Downloader(token=token, ca_file=ca_file)
        self._unused_bytes = unused_bytes
        self._books = asyncio.Lock()  # who uses what is written down before anybody may drop an image
        self._fetching: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def fetch(self, image: OrderImage, guest_id: str, progress: Progress) -> Path:
        """Return the path of the whole, checked image."""
        target = self._path(image.digest)
        async with self._books:
            await on_disk(self._note_use, guest_id, target.name)
        async with self._fetching[image.digest]:
            if not await asyncio.to_thread(target.exists):
                begun = self._clock.monotonic()
                await self._downloader.fetch(image, guest_id, target, progress)
                log.info(
                    "image_fetched", digest=image.digest, bytes=image.size, s=self._clock.monotonic() - begun
                )
            await asyncio.to_thread(_check_header, target, image)
        return target

    async def prepare_overlay(self, base: Path, overlay: Path, *, image: OrderImage, size_bytes: int) -> None:
        """Make the guest's disk; one that is there stays."""
        if await asyncio.to_thread(overlay.exists):
            return
        partial = overlay.with_suffix(".partial")
        formats = ["-f", "qcow2", "-F", image.format, "-b", str(base)]
        await to_its_end(_qemu_img("create", "-q", *formats, str(partial), str(size_bytes)))
        await asyncio.to_thread(partial.replace, overlay)

    async def write_seed(self, seed: Seed, target: Path) -> None:
        """Write what cloud-init reads."""
        await asyncio.to_thread(seeds.write, seed, target)

    async def release(self, guest_id: str) -> None:
        """The guest is gone; of the images that nobody uses any more, the newest stay for a while."""
        async with self._books:
            await on_disk(self._drop_use, guest_id)

    def _path(self, digest: str) -> Path:
        try:
            return self._directory / Digest.parse(digest).hex
        except DigestInvalidError as error:
            raise ImageUnreadableError(error.message) from error

    def _note_use(self, guest_id: str, name: str) -> None:
        self._uses.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._directory.chmod(0o711)  # QEMU's user passes through, and lists nothing
        note = self._uses / guest_id
        new = self._directory / f"{guest_id}.note"  # beside the notes: a half-written one is none
        with new.open("w") as file:
            file.write(name)
            file.flush()
            os.fsync(file.fileno())
        new.replace(note)

    def _drop_use(self, guest_id: str) -> None:
        note = self._uses / guest_id
        if not note.exists():
            return
        image = self._directory / note.read_text()
        note.unlink()
        if image.exists():
            image.touch()  # the time of its last use
        self._drop_unused()

    def _drop_unused(self) -> None:
        """Drop images without a user, those longest without one first, until the rest is small enough."""
        used = {note.read_text() for note in self._uses.iterdir()}
        guests = self._directory.parent / "guests"
        unnoted = {each.name for each in guests.iterdir()} if guests.is_dir() else set()
        unnoted -= {note.name for note in self._uses.iterdir()}
        if unnoted or "" in used:
            # A disk whose image nobody noted: it could be any of them.
            log.warning("images_kept", guests_without_note=sorted(unnoted))
            return
        unused = [each for each in self._directory.iterdir() if each.is_file() and each.stem not in used]
        kept = 0
        for image in sorted(unused, key=lambda each: each.stat().st_mtime_ns, reverse=True):
            kept += image.stat().st_blocks * 512
            if image.suffix or kept > self._unused_bytes:
                image.unlink()
                log.info("image_dropped", file=image.name)


def _check_header(path: Path, image: OrderImage) -> None:
    """Parse the header with our own code: no QEMU tool opens a file that was not looked at."""
    with path.open("rb") as file:
        head = file.read(headers.HEAD_BYTES)
    try:
        found = headers.parse(head, size=image.size, declared=image.format)
    except InnkeeperError as error:
        raise ImageUnreadableError(error.message) from error
    if found.virtual_size != image.virtual_size:
        sizes = f"{found.virtual_size} bytes; the order says {image.virtual_size}"
        raise ImageUnreadableError(f"the image's disk has {sizes}")


async def _qemu_img(*words: str) -> None:
    await programs.run(
        QEMU_IMG,
        words,
        package="qemu-utils",
        failure=functools.partial(InnkeeperError, reason=GuestReason.DRIVER_FAILED),
        deadline_s=QEMU_IMG_DEADLINE_S,
        under=LIMITS,
    )
