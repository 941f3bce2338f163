"""Chunks that are wrong for a while: whom they hold up, and who goes on by itself once the source is mended."""

from pathlib import Path

import pytest

from innkeeper.agent.imaging.overlay import DiskTool, stream_backing
from innkeeper.agent.imaging.store import HostImageStore
from innkeeper.agent.streaming import streams, supply
from innkeeper.agent.streaming.messages import Mode
from innkeeper.agent.streaming.nbd.export import ReadFailedError
from innkeeper.agent.streaming.stream import WRONG_AGAIN_S
from innkeeper.clock import SystemClock
from innkeeper.domain.reasons import GuestReason, Storage
from innkeeper.errors import InnkeeperError
from tests.kit.clock import ManualClock
from tests.kit.streams import CHUNK, StreamSite, a_disk, stream_site, streamer_of
from tests.kit.waiting import eventually, settled

DISK = a_disk()
PATIENT_S = 60  # real time, for a machine that has much else to do
ALWAYS = 1_000_000
SLEEPERS = 2  # the background, and who asks the disk


def spoil(site: StreamSite, *chunks: int) -> None:
    """Let the source have wrong bytes in these chunks, and right ones everywhere else."""
    site.server.spoil = {index * CHUNK + 7: ALWAYS for index in chunks}


async def filled_but_for(site: StreamSite, *chunks: int) -> None:
    """Wait until the background has all chunks but these."""

    def is_so() -> bool:
        status = site.status()
        is_told = (status.reason == GuestReason.IMAGE_CHUNK_MISMATCH) == bool(chunks)
        return is_told and status.total - status.here == len(chunks) * CHUNK

    await eventually(is_so, deadline_s=PATIENT_S)


async def pass_time(clock: ManualClock, seconds: float) -> None:
    """Let time pass for a background that waits for nothing else."""
    await eventually(lambda: clock.sleepers == SLEEPERS, deadline_s=PATIENT_S)
    clock.advance(seconds)


async def test_a_mended_source_is_noticed_though_no_guest_asks(tmp_path: Path) -> None:
    clock = ManualClock()
    async with stream_site(tmp_path / "images", DISK, clock=clock) as site:
        spoil(site, 13, 20)
        await site.serve(whole_soon=True)
        await filled_but_for(site, 13, 20)
        asked = len(site.server.ranges)
        await pass_time(clock, WRONG_AGAIN_S - 2)
        await pass_time(clock, 1)
        assert await settled(lambda: len(site.server.ranges)) == asked, "it is not asked all the time"
        await pass_time(clock, 1)
        await eventually(lambda: len(site.server.ranges) == asked + supply.TRIES, deadline_s=PATIENT_S)
        site.server.spoil = {}
        await pass_time(clock, WRONG_AGAIN_S)
        await site.until_whole()
        await eventually(lambda: (site.status().mode, site.status().reason) == (Mode.LOCAL, ""))
        assert site.files.whole_of(site.name).read_bytes() == DISK


async def test_one_chunk_that_stays_wrong_hides_no_other_that_was_mended(tmp_path: Path) -> None:
    clock = ManualClock()
    async with stream_site(tmp_path / "images", DISK, clock=clock) as site:
        spoil(site, 13, 18, 20)
        await site.serve(whole_soon=True)
        await filled_but_for(site, 13, 18, 20)
        spoil(site, 13)
        asked = len(site.server.ranges)
        await pass_time(clock, WRONG_AGAIN_S)
        await eventually(lambda: len(site.server.ranges) == asked + supply.TRIES, deadline_s=PATIENT_S)
        await pass_time(clock, WRONG_AGAIN_S)
        await filled_but_for(site, 13)


async def test_a_paused_guest_goes_on_whatever_the_background_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own disk was full, or its stream was killed: it has never read the wrong chunk."""
    monkeypatch.setattr(streams, "OPEN_S", 5.0)
    async with stream_site(tmp_path / "images", DISK) as site:
        spoil(site, 13)
        await site.serve(whole_soon=True)
        await filled_but_for(site, 13)
        await site.serve(has_disk=True)
        with pytest.raises(ReadFailedError):
            await site.serve("guest-2")
        site.server.blob_status = 503
        await site.serve(has_disk=True)
        assert await site.read(20) == DISK[20 * CHUNK : 21 * CHUNK]


async def test_a_guest_that_read_a_wrong_chunk_waits_until_it_is_right_or_its_reader_is_gone(
    tmp_path: Path,
) -> None:
    async with stream_site(tmp_path / "images", DISK) as site:
        await site.serve("guest-1")
        await site.serve("guest-2")
        spoil(site, 13)
        assert await site.read(13) is None
        with pytest.raises(ReadFailedError):
            await site.serve("guest-1", has_disk=True)
        await site.streams.leave(site.name, "guest-1")
        await site.serve("guest-2", has_disk=True)
        assert await site.read(13) is None, "who reads it is refused all the same"
        site.server.spoil = {}
        await site.serve("guest-2", has_disk=True)
        assert await site.read(13) == DISK[13 * CHUNK : 14 * CHUNK]


async def test_the_agent_says_which_guests_have_their_disks(tmp_path: Path) -> None:
    async with stream_site(tmp_path / "images", DISK) as site, streamer_of(site) as streamer:
        store = HostImageStore(
            site.files.directory,
            token=lambda: None,
            ca_file=None,
            clock=SystemClock(),
            disks=(tool := DiskTool(None)),
            streamer=streamer,
        )
        disk = tmp_path / "disk.qcow2"
        over = stream_backing(site.name, site.files.nbd_socket)
        await tool.create(disk, over, image_format="raw", size_bytes=len(DISK))
        spoil(site, 13)
        await site.serve("guest-1", whole_soon=True)
        await filled_but_for(site, 13)
        await store.before_resume(site.image, "guest-1", disk)
        await store.before_start(site.image, "guest-1", disk)
        with pytest.raises(InnkeeperError, match="are not the right ones"):
            await store.fetch(site.image, "guest-2", lambda _done, _total: None, storage=Storage.STREAM)
