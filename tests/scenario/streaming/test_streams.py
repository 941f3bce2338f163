"""Images that guests read while they arrive: right bytes or none, each fetched once, whatever the origin and the disk do.

The readers are QEMU's own tools.
"""

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.agent.streaming import boot_profile, supply
from innkeeper.agent.streaming.chunk_file import ChunkFile
from innkeeper.agent.streaming.messages import ImageStatus, Mode
from innkeeper.agent.streaming.pace import Pace
from innkeeper.agent.streaming.stream import Stream
from innkeeper.clock import SystemClock
from innkeeper.domain.images import profile
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from tests.kit.streams import (
    CHUNK,
    GUEST,
    StreamSite,
    a_disk,
    image_of,
    manifest_of,
    read,
    stream_site,
    streams_in,
)
from tests.kit.waiting import eventually

DISK = a_disk()
FULL = [*range(4), *range(10, 24)]  # the chunks that are not zeros


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[StreamSite]:
    async with stream_site(tmp_path / "images", DISK) as made:
        yield made


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a boot be over as soon as something was read."""
    monkeypatch.setattr(boot_profile, "QUIET_S", 0.2)


def spans(site: StreamSite) -> list[tuple[int, int]]:
    """Return the ranges that the image server was asked for."""
    ranges = [each.removeprefix("bytes=").split("-") for each in site.server.ranges if each]
    return [(int(start), int(end) + 1) for start, end in ranges]


def fetched(site: StreamSite) -> int:
    """Return how many bytes the image server was asked for."""
    return sum(end - start for start, end in spans(site))


def asked_for(site: StreamSite) -> set[int]:
    """Return the chunks that the image server was asked for."""
    return {index for start, end in spans(site) for index in range(start // CHUNK, -(-end // CHUNK))}


async def test_a_guest_reads_what_is_not_here_yet_and_little_else_is_fetched(site: StreamSite) -> None:
    await site.serve()
    assert await site.read(12) == DISK[12 * CHUNK : 13 * CHUNK]
    assert fetched(site) == 4 * CHUNK, "the head and what was read, and the next behind each"
    assert site.status().mode is Mode.STREAMING
    assert site.status().here == fetched(site)


async def test_who_reads_on_is_expected_to_go_on(site: StreamSite) -> None:
    await site.serve()
    before = asked_for(site)
    await site.read(10)
    assert asked_for(site) - before == {10, 11}
    await site.read(11)
    await site.read(12)
    assert asked_for(site) - before == {10, 11, 12, 13, 14, 15}, "two were read before the second miss"


async def test_zeros_are_read_and_never_fetched(site: StreamSite) -> None:
    await site.serve()
    assert await site.read(4, 6) == bytes(6 * CHUNK)
    assert fetched(site) == 2 * CHUNK, "the head, and the next"


async def test_a_read_may_cross_chunks_and_end_with_a_short_one(site: StreamSite) -> None:
    await site.serve()
    for offset, length in (
        (CHUNK - 512, 1024),
        (3 * CHUNK + 512, 8 * CHUNK),
        (23 * CHUNK, CHUNK + CHUNK // 2),
    ):
        assert await read(site.files, site.name, offset, length) == DISK[offset : offset + length]


async def test_many_readers_of_one_chunk_are_one_request(site: StreamSite) -> None:
    await site.serve()
    before = len(site.server.ranges)
    found = await asyncio.gather(*(site.read(15) for _ in range(6)))
    assert found == [DISK[15 * CHUNK : 16 * CHUNK]] * 6
    assert len(site.server.ranges) == before + 1


async def test_a_spoilt_chunk_is_fetched_again_and_nobody_notices(site: StreamSite) -> None:
    site.server.spoil = {13 * CHUNK + 7: supply.TRIES - 1}
    await site.serve()
    assert await site.read(13) == DISK[13 * CHUNK : 14 * CHUNK]
    assert site.status().reason == ""


async def test_a_chunk_that_stays_wrong_is_an_error_for_who_reads_it_until_the_source_is_mended(
    site: StreamSite,
) -> None:
    await site.serve()
    site.server.spoil = {13 * CHUNK + 7: 1000}
    assert await site.read(13) is None, "an I/O error, which pauses a guest"
    assert site.status().reason == GuestReason.IMAGE_CHUNK_MISMATCH
    assert await site.read(14) == DISK[14 * CHUNK : 15 * CHUNK], "others are served"
    site.server.spoil = {}
    await site.serve(has_disk=True)  # as the agent does before it lets a paused guest go on
    assert site.status().reason == ""
    assert await site.read(13) == DISK[13 * CHUNK : 14 * CHUNK]


async def test_an_origin_that_is_away_makes_readers_wait(site: StreamSite) -> None:
    await site.serve()
    site.server.blob_status = 503
    reading = asyncio.create_task(site.read(20, 2))
    await eventually(lambda: site.status().reason == GuestReason.IMAGE_DOWNLOAD_FAILED)
    assert not reading.done()
    site.server.blob_status = None
    assert await reading == DISK[20 * CHUNK : 22 * CHUNK]
    assert site.status().reason == ""


async def test_who_has_its_bytes_is_told_no_more_that_none_come(site: StreamSite) -> None:
    site.server.packs = False
    await site.serve()
    site.server.blob_status = 503
    reading = asyncio.create_task(site.read(20))
    await eventually(lambda: site.status().reason == GuestReason.IMAGE_DOWNLOAD_FAILED)
    site.server.hold_after = CHUNK  # what was asked for beyond it is still on its way
    site.server.blob_status = None
    try:
        assert await reading == DISK[20 * CHUNK : 21 * CHUNK]
        assert site.status().reason == ""
    finally:
        site.server.may_go_on.set()


async def test_an_answer_that_breaks_off_is_gone_on_with(site: StreamSite) -> None:
    await site.serve()
    site.server.cut_after = CHUNK + 100
    assert await site.read(16, 3) == DISK[16 * CHUNK : 19 * CHUNK]


@pytest.mark.parametrize(("packs", "knows_packed"), [(False, False), (True, False)])
async def test_chunks_come_as_they_are_from_a_server_that_packs_none(
    site: StreamSite, *, packs: bool, knows_packed: bool
) -> None:
    """One that never offers it, and a replica of an earlier version behind one that does."""
    site.server.packs, site.server.knows_packed = packs, knows_packed
    await site.serve()
    assert await site.read(16, 3) == DISK[16 * CHUNK : 19 * CHUNK]
    assert site.server.packed_asked == int(packs), "and is asked once"


async def test_who_packs_badly_is_asked_for_chunks_as_they_are(site: StreamSite) -> None:
    site.server.packs_badly = True
    await site.serve()
    assert await site.read(16, 3) == DISK[16 * CHUNK : 19 * CHUNK]
    assert site.server.packed_asked < len(site.server.ranges)


async def test_a_packed_answer_that_goes_on_does_no_harm(site: StreamSite) -> None:
    site.server.endless = True
    await site.serve()
    assert await site.read(16, 3) == DISK[16 * CHUNK : 19 * CHUNK]
    assert site.server.packed_asked == len(site.server.ranges) > 0


@pytest.mark.usefixtures("quiet")
async def test_after_the_boot_the_rest_comes_and_the_image_is_whole(site: StreamSite) -> None:
    await site.serve()
    await site.read(22)
    await site.until_whole()
    await eventually(lambda: site.status().mode is Mode.LOCAL)
    whole = site.files.whole_of(site.name)
    assert whole.read_bytes() == DISK
    assert fetched(site) == len(FULL) * CHUNK, "each chunk once, and no zeros"
    assert await site.read(0, 24) == DISK[: 24 * CHUNK], "who reads the export reads on"
    assert [profile.read(each) for each in site.server.learnt] == [[22]]


async def test_what_other_boots_read_is_fetched_ahead(site: StreamSite) -> None:
    site.server.profile = profile.encode([20, 21, 11, 4000, 5])
    await site.serve()
    await eventually(lambda: site.status().here == (2 + 3) * CHUNK)
    site.server.blob_status = 503
    assert await site.read(20, 2) == DISK[20 * CHUNK : 22 * CHUNK]
    assert await site.read(11) == DISK[11 * CHUNK : 12 * CHUNK]


async def test_a_new_process_serves_what_the_killed_one_did_and_takes_no_half_chunk(tmp_path: Path) -> None:
    async with stream_site(tmp_path, DISK) as site:
        await site.serve()
        await site.read(10, 4)
        await site.streams.close()
        with site.files.stream(site.name).open("r+b") as file:
            file.seek(12 * CHUNK + 99)
            file.write(b"torn by a power cut")
        site.server.ranges.clear()
        async with streams_in(tmp_path) as streams:
            await streams.load()
            await eventually(lambda: streams.find(site.name))
            assert await site.read(10, 4) == DISK[10 * CHUNK : 14 * CHUNK]
            assert asked_for(site) & {10, 11, 12, 13} == {12}, "the torn one"
            await streams.leave(site.name, "guest-1")
            assert streams.find(site.name) is None
        assert not site.files.record(site.name).exists()


async def test_what_cannot_be_opened_again_yet_is_told_with_its_guests(tmp_path: Path) -> None:
    async with stream_site(tmp_path, DISK) as site:
        await site.serve()
        await site.streams.close()
        site.files.manifest(site.name).unlink()
        site.server.urls_status = 503
        async with streams_in(tmp_path) as streams:
            await streams.load()
            assert streams.statuses() == [ImageStatus.opening(site.name, (GUEST,))]
            assert streams.find(site.name) is None


async def test_a_chunk_that_another_image_has_is_copied_on_the_host(site: StreamSite) -> None:
    await site.serve()
    assert await site.read(10, 14) is not None
    other = DISK[: 20 * CHUNK] + a_disk(seed=2)[20 * CHUNK :]
    digest = f"sha256:{hashlib.sha256(other).hexdigest()}"
    site.server.content, site.server.manifest = other, manifest_of(other, digest=digest)
    first, site.image = site.name, image_of(other, site.image.url.partition("/v1")[0], name="debian-2")
    await site.serve("guest-2")
    site.server.ranges.clear()
    assert site.name != first
    assert await site.read(10, 14) == other[10 * CHUNK : 24 * CHUNK]
    assert fetched(site) == 4 * CHUNK
    assert site.status().from_host >= 10 * CHUNK


async def test_a_manifest_that_the_order_does_not_name_is_refused(site: StreamSite) -> None:
    lie = a_disk(seed=3)
    site.server.manifest = manifest_of(lie, digest=site.image.digest)
    with pytest.raises(InnkeeperError) as refused:
        await site.serve()
    assert (refused.value.reason, refused.value.retryable) == (GuestReason.IMAGE_DIGEST_MISMATCH, False)
    assert site.streams.find(site.name) is None, "nobody can read it"


@pytest.mark.usefixtures("quiet")
async def test_a_manifest_of_other_bytes_never_makes_a_whole_image(tmp_path: Path) -> None:
    """The order names this manifest; the bytes are those of the manifest, and not those of the image's digest."""
    lie = a_disk(seed=3)
    manifest = manifest_of(lie, digest=f"sha256:{hashlib.sha256(DISK).hexdigest()}")
    async with stream_site(tmp_path, DISK, manifest=manifest) as site:
        site.server.content = lie
        await site.serve(whole_soon=True)
        await eventually(lambda: site.status().reason == GuestReason.IMAGE_DIGEST_MISMATCH)
        assert not site.files.whole_of(site.name).exists()
        with pytest.raises(InnkeeperError, match="its manifest is that of other bytes"):
            await site.serve("guest-2")
        await site.serve(has_disk=True)  # one that was paused for another reason runs on
        assert await site.read(12) == lie[12 * CHUNK : 13 * CHUNK]


async def test_a_head_that_is_no_image_is_refused_before_anybody_reads(tmp_path: Path) -> None:
    content = b"QFI\xfb" + DISK[4:]
    async with stream_site(tmp_path, content) as site:
        with pytest.raises(InnkeeperError) as refused:
            await site.serve()
    assert refused.value.reason == GuestReason.IMAGE_UNREADABLE
    assert not refused.value.retryable


async def test_a_full_disk_takes_nothing_from_a_running_guest(
    site: StreamSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.serve()
    with monkeypatch.context() as patched:
        patched.setattr(ChunkFile, "write", full)
        offset = 13 * CHUNK + 512
        assert await read(site.files, site.name, offset, 2 * CHUNK) == DISK[offset : offset + 2 * CHUNK]
        assert site.status().reason == GuestReason.HOST_DISK_FULL
    assert await site.read(15) == DISK[15 * CHUNK : 16 * CHUNK]
    assert site.status().reason == "", "room again"


def full(_self: ChunkFile, _index: int, _content: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_new_guest_waits_for_room_though_others_are_served(
    site: StreamSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.serve("guest-1")
    with monkeypatch.context() as patched:
        patched.setattr(ChunkFile, "write", full)
        assert await site.read(13) is not None
        with pytest.raises(InnkeeperError, match="No space left") as refused:
            await site.serve("guest-2")
        assert (refused.value.reason, refused.value.retryable) == (GuestReason.HOST_DISK_FULL, True)
        await site.serve("guest-1", has_disk=True)
    await site.serve("guest-2")
    assert site.status().reason == "", "that there is room was found out by writing"


async def test_the_first_guest_of_an_image_waits_for_room_too(
    site: StreamSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(ChunkFile, "write", full)
        with pytest.raises(InnkeeperError, match="No space left") as refused:
            await site.serve()
        assert refused.value.reason == GuestReason.HOST_DISK_FULL
    await site.serve()
    assert await site.read(12) == DISK[12 * CHUNK : 13 * CHUNK]


async def test_one_guest_less_ends_no_stream_and_the_last_one_does(site: StreamSite) -> None:
    await site.serve("guest-1")
    await site.serve("guest-2")
    await site.streams.leave(site.name, "guest-1")
    assert await site.read(11) == DISK[11 * CHUNK : 12 * CHUNK]
    await site.streams.leave(site.name, "guest-2")
    assert await site.read(11) is None
    assert site.files.stream(site.name).exists(), "what came stays for the next guest"


async def test_who_trusts_another_manifest_reads_another_stream(site: StreamSite) -> None:
    """Somebody else's Image may say that it has the digest of this one, and come with a manifest of other bytes."""
    lie = a_disk(seed=3)
    forged = manifest_of(lie, digest=site.image.digest)
    honest, served = site.image, site.server.manifest
    site.server.content, site.server.manifest = lie, forged
    site.image = image_of(DISK, honest.url.partition("/v1")[0], forged)
    await site.serve("guest-of-a-liar")
    assert await site.read(12) == lie[12 * CHUNK : 13 * CHUNK], "its own author vouched for these"
    site.server.content, site.server.manifest, site.image = DISK, served, honest
    await site.serve("guest-1")
    assert await site.read(12) == DISK[12 * CHUNK : 13 * CHUNK]


class Gate(Pace):
    """A pace that a test opens."""

    def __init__(self) -> None:
        super().__init__(0, SystemClock())
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def take(self, count: int) -> None:  # noqa: ARG002 - as declared
        """Wait for the test."""
        self.reached.set()
        await self.open.wait()


async def test_a_guest_may_ask_for_what_the_background_is_about_to_fetch(site: StreamSite) -> None:
    gate = Gate()
    stream = await _opened(site)
    stream._supply._pace = gate
    await site.serve(whole_soon=True)
    await gate.reached.wait()
    assert await site.read(3, 20) == DISK[3 * CHUNK : 23 * CHUNK], "it waits for nothing"
    gate.open.set()
    await site.until_whole()


async def _opened(site: StreamSite) -> Stream:
    await site.serve()
    stream = site.streams.find(site.name)
    assert stream is not None
    return stream
