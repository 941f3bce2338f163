"""Somebody's Image claims the digest of another account's and brings a manifest of its own: it opens none of those bytes.

On a host that has the honest image whole. The liar knows the digest, the size and the format, which are no secrets.
"""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from innkeeper.agent.imaging import comparisons
from innkeeper.agent.imaging.files import ImageFiles, stream_name
from innkeeper.agent.imaging.overlay import DiskTool, backing_of
from innkeeper.agent.imaging.store import HostImageStore
from innkeeper.agent.streaming import control, streams
from innkeeper.agent.streaming.messages import ImageStatus, Mode, Serve
from innkeeper.clock import SystemClock
from innkeeper.domain.images.manifest import Chunks, ManifestMaker
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason, Storage
from innkeeper.errors import InnkeeperError
from tests.kit.streams import (
    CHUNK,
    StreamSite,
    a_disk,
    image_of,
    manifest_of,
    stream_site,
    streamer_of,
    streams_in,
)
from tests.kit.waiting import eventually

DISK, LIE = a_disk(), a_disk(seed=3)
DAMAGED = DISK[: 20 * CHUNK] + bytes(1) + DISK[20 * CHUNK + 1 :]
HONEST, LIAR = "guest-1", "guest-of-a-liar"
PATIENT_S = 60


class Two:
    """A host with the honest order of an image and the order of who lies about it."""

    def __init__(self, site: StreamSite, store: HostImageStore) -> None:
        self.site, self.store = site, store
        self.honest, self.manifest = site.image, site.server.manifest
        self.forged = manifest_of(LIE, digest=site.image.digest)
        self.lying = image_of(DISK, site.image.url.partition("/v1")[0], self.forged, name="lie")

    @property
    def whole(self) -> Path:
        """Where the honest image lies once it is whole."""
        return self.site.files.whole_of(self.site.name)

    def answer(self, image: OrderImage) -> None:
        """Have the image server answer as it does for one of the two."""
        lies = image is self.lying
        self.site.image = image
        self.site.server.content = LIE if lies else DISK
        self.site.server.manifest = self.forged if lies else self.manifest

    async def bring_honest(self) -> None:
        """Have the honest image whole here."""
        self.answer(self.honest)
        await self.site.serve(HONEST, whole_soon=True)
        await eventually(lambda: self.site.status().mode is Mode.LOCAL, deadline_s=PATIENT_S)

    async def backing(self, image: OrderImage, guest_id: str, *, storage: Storage = Storage.STREAM) -> str:
        """Return what a new guest's disk lies over."""
        found = await self.store.fetch(image, guest_id, lambda _done, _total: None, storage=storage)
        return found.name

    async def reads(self, image: OrderImage, index: int) -> bytes | None:
        """Return a chunk as the export of an order gives it."""
        self.answer(image)
        return await self.site.read(index)


def chunk(content: bytes, index: int) -> bytes:
    return content[index * CHUNK : (index + 1) * CHUNK]


def store_of(site: StreamSite, streamer: object) -> HostImageStore:
    return HostImageStore(
        site.files.directory,
        token=lambda: None,
        ca_file=None,
        clock=SystemClock(),
        disks=DiskTool(None),
        streamer=streamer,  # type: ignore[arg-type] - the agent's own, or none
    )


@asynccontextmanager
async def two_on(directory: Path) -> AsyncIterator[Two]:
    async with stream_site(directory, DISK) as site, streamer_of(site) as streamer:
        yield Two(site, store_of(site, streamer))


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with two_on(tmp_path / "images") as made:
        yield made


async def test_a_forged_manifest_opens_no_image_that_is_whole_here(two: Two) -> None:
    await two.bring_honest()
    two.answer(two.lying)
    assert (await two.backing(two.lying, LIAR)).startswith("nbd+unix://"), "a file of its own"
    for index in (0, 12, 23):
        assert await two.reads(two.lying, index) == chunk(LIE, index), "what its own author vouched for"
        assert await two.reads(two.honest, index) == chunk(DISK, index)
    assert await two.backing(two.honest, "guest-2") == str(two.whole)
    assert two.whole.read_bytes() == DISK


async def test_a_forged_manifest_gives_no_copy_either(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "NEWS_S", 0.2)  # nobody tells news here
    await two.bring_honest()
    two.answer(two.lying)
    with pytest.raises(InnkeeperError) as refused:
        await two.backing(two.lying, LIAR, storage=Storage.COPY)
    assert refused.value.reason == GuestReason.IMAGE_DIGEST_MISMATCH
    assert two.whole.read_bytes() == DISK, "and its own bytes take nobody's name"


async def test_a_guest_that_runs_on_other_bytes_keeps_them_when_the_honest_image_comes(
    two: Two, tmp_path: Path
) -> None:
    two.answer(two.lying)
    disk = await a_disk_over(two, two.lying, LIAR, tmp_path)
    over = backing_of(disk)
    assert await two.reads(two.lying, 12) == chunk(LIE, 12)
    await two.bring_honest()
    two.answer(two.lying)
    await two.store.before_start(two.lying, LIAR, disk)
    await two.store.before_resume(two.lying, LIAR, disk)
    assert backing_of(disk) == over
    for index in (12, 20):  # one of before, and one that comes now
        assert await two.reads(two.lying, index) == chunk(LIE, index)
    assert await two.backing(two.honest, "guest-2") == str(two.whole)


async def test_a_new_process_does_not_mix_them_either(tmp_path: Path) -> None:
    async with two_on(tmp_path / "images") as two:
        two.answer(two.lying)
        await two.site.serve(LIAR)
        await two.bring_honest()
        await two.site.streams.close()
        two.answer(two.lying)
        async with streams_in(two.site.files.directory) as again:
            await again.load()
            await eventually(lambda: again.find(two.site.name), deadline_s=PATIENT_S)
            assert await two.reads(two.lying, 12) == chunk(LIE, 12)
            assert await two.reads(two.honest, 12) == chunk(DISK, 12)


async def test_an_honest_guests_disk_is_put_onto_the_whole_image(two: Two, tmp_path: Path) -> None:
    disk = await a_disk_over(two, two.honest, HONEST, tmp_path)
    await two.bring_honest()
    # Its Image was made anew meanwhile, and the order names another manifest: the disk is of the first one's bytes.
    await two.store.before_start(two.lying, HONEST, disk)
    assert backing_of(disk) == str(two.whole)


async def test_a_disk_over_a_forged_stream_stays_there_whatever_its_order_says_by_now(
    two: Two, tmp_path: Path
) -> None:
    two.answer(two.lying)
    disk = await a_disk_over(two, two.lying, LIAR, tmp_path)
    over = backing_of(disk)
    await two.bring_honest()
    await two.store.before_start(two.honest, LIAR, disk)
    assert backing_of(disk) == over


async def test_an_image_of_an_older_version_is_compared_once_and_used(two: Two) -> None:
    """Nothing is noted beside it; its manifest is here, so the image server may be away."""
    await an_old_whole(two, DISK)
    assert await two.backing(two.honest, HONEST) == str(two.whole)
    assert two.site.files.match(two.site.name).exists()
    two.site.files.manifest(two.site.name).unlink()
    assert await two.backing(two.honest, "guest-2") == str(two.whole), "nobody is asked any more"


async def test_an_image_that_the_disk_damaged_is_not_taken_for_the_ordered_one(two: Two) -> None:
    await an_old_whole(two, DAMAGED)
    assert (await two.backing(two.honest, HONEST)).startswith("nbd+unix://")
    assert await two.reads(two.honest, 12) == chunk(DISK, 12), "the good chunks need no image server"
    damaged = asyncio.create_task(two.reads(two.honest, 20))
    await eventually(lambda: two.site.status().message, deadline_s=PATIENT_S)
    assert await two.reads(two.honest, 21) == chunk(DISK, 21), "also one of the same request"
    two.site.server.urls_status = 200
    assert await damaged == chunk(DISK, 20)
    await eventually(lambda: two.whole.read_bytes() == DISK, deadline_s=PATIENT_S)
    status = two.site.status()
    assert status.from_origin < status.total / 4


async def test_an_equal_image_is_used_where_the_disk_refuses_the_note(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, parts = comparisons._matches, list[int]()

    def counted(path: Path, chunks: Chunks, first: int, behind: int) -> bool:
        parts.append(first)
        return real(path, chunks, first, behind)

    def refuse(_files: ImageFiles, _stream: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    await an_old_whole(two, DISK)
    monkeypatch.setattr(comparisons, "_matches", counted)
    with monkeypatch.context() as full:
        full.setattr(ImageFiles, "note_match", refuse)
        for guest_id in (HONEST, "guest-2"):
            assert await two.backing(two.honest, guest_id) == str(two.whole)
    assert parts == [0, 0], "once by the streaming process, and once by the agent"
    assert await two.backing(two.honest, "guest-3") == str(two.whole)
    assert two.site.files.match(two.site.name).exists(), "noted once there is room"


async def test_a_store_without_a_streaming_process_fetches_a_damaged_image_again(two: Two) -> None:
    await an_old_whole(two, DAMAGED)
    two.store = store_of(two.site, None)
    with pytest.raises(InnkeeperError) as away:
        await two.backing(two.honest, HONEST)
    assert away.value.retryable
    assert two.whole.read_bytes() == DAMAGED, "disks lie over it, and it is replaced at once"
    two.site.server.urls_status = 200
    assert await two.backing(two.honest, HONEST) == str(two.whole)
    assert two.whole.read_bytes() == DISK


async def test_an_image_that_cannot_be_read_now_is_no_end(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, _chunks: Chunks, _first: int, _behind: int) -> bool:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    await an_old_whole(two, DISK)
    two.store = store_of(two.site, None)
    with monkeypatch.context() as poor:
        poor.setattr(comparisons, "_matches", fail)
        with pytest.raises(InnkeeperError, match="cannot be read") as unread:
            await two.backing(two.honest, HONEST)
        assert unread.value.retryable
    assert await two.backing(two.honest, HONEST) == str(two.whole)


async def test_another_manifest_of_the_same_bytes_shares_the_image(two: Two) -> None:
    await two.bring_honest()
    maker = ManifestMaker(chunk_bytes=CHUNK // 4)
    maker.take(DISK)
    other = maker.manifest(two.honest.digest).encode()
    image = image_of(DISK, two.honest.url.partition("/v1")[0], other, name="other")
    two.site.server.manifest = other
    asked = len(two.site.server.ranges)
    assert await two.backing(image, "guest-2") == str(two.whole)
    assert len(two.site.server.ranges) == asked


async def test_a_long_comparison_holds_up_nobody_else_and_goes_on(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun, real = threading.Event(), list[int](), comparisons._matches

    def slowly(path: Path, chunks: Chunks, first: int, behind: int) -> bool:
        begun.append(first)
        assert go_on.wait(PATIENT_S)
        return real(path, chunks, first, behind)

    monkeypatch.setattr(comparisons, "_matches", slowly)
    monkeypatch.setattr(streams, "OPEN_S", 2.0)
    await an_old_whole(two, DISK)
    with pytest.raises(InnkeeperError, match="being compared") as late:
        await two.backing(two.honest, HONEST)
    assert late.value.retryable
    two.site.server.urls_status = 200
    two.site.server.content = LIE
    other = image_of(LIE, two.honest.url.partition("/v1")[0], name="other")
    two.site.server.manifest = manifest_of(LIE, digest=other.digest)
    await two.site.streams.serve(Serve(image=other, guest_id="guest-3"))
    assert begun == [0]
    monkeypatch.setattr(streams, "OPEN_S", PATIENT_S)
    again = asyncio.create_task(two.backing(two.honest, HONEST))
    go_on.set()
    assert await again == str(two.whole)
    assert begun == [0], "from where it was"


async def test_a_store_without_a_streaming_process_compares_too(two: Two) -> None:
    store = store_of(two.site, None)
    two.store = store
    assert await two.backing(two.honest, HONEST) == str(two.whole)
    assert await two.backing(two.honest, "guest-2") == str(two.whole)
    two.answer(two.lying)
    with pytest.raises(InnkeeperError) as refused:
        await two.backing(two.lying, LIAR)
    assert refused.value.reason == GuestReason.IMAGE_DIGEST_MISMATCH


class OfOlderVersion:
    """A streaming process that serves a whole image by its digest alone."""

    async def serve(self, image: OrderImage, guest_id: str, **_options: bool) -> ImageStatus:
        """Serve it."""
        opening = ImageStatus.opening(stream_name(image), (guest_id,))
        return msgspec.structs.replace(opening, mode=Mode.LOCAL)

    async def until_whole(self, name: str, progress: object) -> None:
        """Find it whole."""

    async def leave(self, name: str, guest_id: str) -> None:
        """Know nobody."""


@pytest.mark.parametrize("storage", [Storage.COPY, Storage.STREAM])
async def test_a_streaming_process_of_an_older_version_is_not_believed(two: Two, storage: Storage) -> None:
    await an_old_whole(two, DISK)
    two.answer(two.lying)
    two.site.server.urls_status = 200
    two.store = store_of(two.site, OfOlderVersion())
    with pytest.raises(InnkeeperError, match="not those of the manifest") as refused:
        await two.backing(two.lying, LIAR, storage=storage)
    assert refused.value.reason == GuestReason.IMAGE_DIGEST_MISMATCH
    assert two.whole.read_bytes() == DISK


@pytest.mark.parametrize("storage", [Storage.COPY, Storage.STREAM])
async def test_a_streaming_process_of_an_older_version_serves_honest_guests(
    two: Two, storage: Storage
) -> None:
    await an_old_whole(two, DISK)
    two.store = store_of(two.site, OfOlderVersion())
    assert await two.backing(two.honest, HONEST, storage=storage) == str(two.whole)
    assert await two.backing(two.honest, "guest-2", storage=storage) == str(two.whole)


async def test_what_was_noted_goes_with_the_image(two: Two) -> None:
    await two.bring_honest()
    await two.backing(two.honest, HONEST)
    await two.site.streams.leave(two.site.name, HONEST)
    store = store_of(two.site, None)
    store._unused_bytes = 0
    await store.release(HONEST)
    assert not [
        each.name for each in two.site.files.directory.iterdir() if each.name.startswith(two.whole.name)
    ]


async def test_an_empty_manifest_matches_nothing(two: Two) -> None:
    """It has no chunk that could differ."""
    await an_old_whole(two, DISK)
    empty = msgspec.structs.replace(ManifestMaker().manifest(two.honest.digest), size=0)
    assert not await comparisons.Comparisons(two.site.files).is_whole(two.site.name, Chunks(empty, b""))


async def an_old_whole(two: Two, content: bytes) -> None:
    """Leave what an older version left: an image and its manifest, and no note; the image server is away."""
    assert two.manifest is not None
    two.site.files.manifest(two.site.name).write_bytes(two.manifest)
    two.whole.write_bytes(content)
    two.site.server.urls_status = 503


async def a_disk_over(two: Two, image: OrderImage, guest_id: str, directory: Path) -> Path:
    """Return the disk of a guest that begins on a stream."""
    over = await two.store.fetch(image, guest_id, lambda _done, _total: None, storage=Storage.STREAM)
    assert over.name.startswith("nbd+unix://")
    disk = directory / f"{guest_id}.qcow2"
    await two.store.prepare_overlay(over, disk, image=image, size_bytes=len(DISK))
    return disk
