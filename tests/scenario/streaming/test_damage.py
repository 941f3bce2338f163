"""A host's disk that loses what it was given, as disks do: it says so late, names no chunk, and may say nothing."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from innkeeper.agent.streaming import stream as streams
from innkeeper.agent.streaming.chunk_index import ChunkIndex, Holder
from innkeeper.agent.streaming.messages import Mode
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from tests.kit.clock import ManualClock
from tests.kit.streams import CHUNK, a_disk, stream_site
from tests.kit.waiting import eventually

DISK = a_disk()
LOST = 12
SLEEPERS = 2  # who waits for the boot's end, and who asks the disk
OPEN = Path("/proc/self/fd")


def path_of(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


def open_streams() -> list[str]:
    return [path for each in OPEN.iterdir() if (path := path_of(each)).endswith(".stream")]


def a_disk_that_loses(*, error: int | None) -> Callable[[int], None]:
    """Return an fsync(2) that loses a chunk of an image at its first call, and says so or does not."""
    real, calls = os.fsync, []

    def fsync(descriptor: int) -> None:
        if path_of(OPEN / str(descriptor)).endswith(".stream"):
            calls.append(descriptor)
            if len(calls) == 1:
                os.pwrite(descriptor, bytes(CHUNK), LOST * CHUNK)
                real(descriptor)
                if error is not None:
                    raise OSError(error, os.strerror(error))
        real(descriptor)

    return fsync


@pytest.mark.parametrize("error", [errno.EIO, None], ids=["an error", "silence"])
async def test_what_the_disk_lost_is_fetched_again_before_the_image_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int | None
) -> None:
    monkeypatch.setattr(os, "fsync", a_disk_that_loses(error=error))
    monkeypatch.setattr(streams, "DISK_PAUSE_S", 0.1)
    async with stream_site(tmp_path / "images", DISK) as site:
        await site.serve(whole_soon=True)
        await site.until_whole()
        assert site.files.whole_of(site.name).read_bytes() == DISK
        asked = [each for each in site.server.ranges if each and each.startswith(f"bytes={LOST * CHUNK}-")]
        assert asked[-1] == f"bytes={LOST * CHUNK}-{(LOST + 1) * CHUNK - 1}", "it alone"
        await eventually(lambda: (site.status().mode, site.status().reason) == (Mode.LOCAL, ""))
        assert site.status().here == site.status().total


async def test_a_new_guest_waits_while_the_disk_does_not_take_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it has come; what a file system reserved too little for is told when it is written out."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if path_of(OPEN / str(descriptor)).endswith(".stream"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    clock = ManualClock()
    async with stream_site(tmp_path / "images", DISK, clock=clock) as site:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fsync)
            await site.serve(whole_soon=True)
            await eventually(lambda: site.status().reason == GuestReason.HOST_DISK_FULL, deadline_s=60)
            with pytest.raises(InnkeeperError, match="No space left") as refused:
                await site.serve("guest-2")
            assert refused.value.reason == GuestReason.HOST_DISK_FULL
            await site.serve(has_disk=True)
        await eventually(lambda: clock.sleepers == SLEEPERS, deadline_s=60)
        clock.advance(streams.DISK_PAUSE_S)
        await eventually(lambda: site.status().mode is Mode.LOCAL, deadline_s=60)
        await site.serve("guest-2")


def a_disk_that_loses_while_it_streams(lost: list[int]) -> Callable[[int], None]:
    """Return an fdatasync(2) that loses the chunks of `lost`, and says once that it lost something."""
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        if lost and path_of(OPEN / str(descriptor)).endswith(".stream"):
            real(descriptor)
            while lost:
                os.pwrite(descriptor, bytes(CHUNK), lost.pop() * CHUNK)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    return fdatasync


async def test_what_the_disk_lost_is_fetched_again_while_the_image_still_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, lost = ManualClock(), list[int]()
    monkeypatch.setattr(os, "fdatasync", a_disk_that_loses_while_it_streams(lost))
    async with stream_site(tmp_path / "images", DISK, clock=clock) as site:
        await site.serve()
        wanted = DISK[LOST * CHUNK : (LOST + 1) * CHUNK]
        assert await site.read(16) is not None
        await pass_confirm(clock)
        assert await site.read(LOST) == wanted
        before = site.status().here
        lost.append(LOST)
        await pass_confirm(clock)
        assert site.status().here == before - 2 * CHUNK, "what came since: that chunk, and the next"
        site.server.ranges.clear()
        assert await site.read(LOST) == wanted
        assert site.server.ranges == [f"bytes={LOST * CHUNK}-{(LOST + 1) * CHUNK - 1}"], "it alone"


async def pass_confirm(clock: ManualClock) -> None:
    """Let the disk be asked, and wait until it was."""
    await eventually(lambda: clock.sleepers == SLEEPERS, deadline_s=60)
    clock.advance(streams.CONFIRM_S)
    await eventually(lambda: clock.sleepers == SLEEPERS, deadline_s=60)


class SlowIndex(ChunkIndex):
    """An index that a test lets go on."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def add(self, name: str, holder: Holder) -> None:
        self.reached.set()
        assert self.go_on.wait(10)
        super().add(name, holder)


async def test_a_stream_that_nobody_waits_for_any_more_leaves_no_file_open(tmp_path: Path) -> None:
    index = SlowIndex()
    async with stream_site(tmp_path / "images", DISK, index=index) as site:
        asking = asyncio.create_task(site.serve())
        await asyncio.to_thread(index.reached.wait, 10)
        asking.cancel()
        index.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not open_streams()
        await site.serve()
        assert await site.read(LOST) == DISK[LOST * CHUNK : (LOST + 1) * CHUNK]
