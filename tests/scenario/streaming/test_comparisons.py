"""Whole images without a note on one host, as after an upgrade: who waits for which comparison, and who does not."""

import asyncio
import hashlib
import threading
from pathlib import Path

import msgspec
import pytest

from innkeeper.agent.imaging import comparisons
from innkeeper.agent.imaging.comparisons import Comparisons
from innkeeper.agent.imaging.files import ImageFiles
from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.agent.streaming import streams
from innkeeper.agent.streaming.messages import Mode, Record
from innkeeper.agent.streaming.process import until_idle
from innkeeper.domain.images import manifest
from innkeeper.domain.images.manifest import Chunks
from tests.kit.clock import ManualClock
from tests.kit.streams import CHUNK, GUEST, StreamSite, a_disk, manifest_of, stream_site
from tests.kit.waiting import eventually

PATIENT_S = 60
IDLE_S = 10


class Gate:
    """Holds up what is read of whole images until it opens, and notes the order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[str] = []
        self.open = threading.Event()
        self._real = comparisons._matches
        monkeypatch.setattr(comparisons, "_matches", self._matches)

    def _matches(self, path: Path, chunks: Chunks, first: int, behind: int) -> bool:
        self.read.append(path.name)
        assert self.open.wait(PATIENT_S)
        return self._real(path, chunks, first, behind)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def test_one_image_is_compared_at_a_time_and_small_ones_first(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparisons, "_PART_BYTES", CHUNK)
    files = ImageFiles(tmp_path)
    files.make()
    compared, content = Comparisons(files), a_disk()
    tasks = []
    for name, count in (("first", 3), ("large", 4), ("small", 2)):
        bytes_of_it = content[: count * CHUNK]
        files.whole(name).write_bytes(bytes_of_it)
        encoded = manifest_of(bytes_of_it, digest=f"sha256:{hashlib.sha256(bytes_of_it).hexdigest()}")
        tasks.append(asyncio.create_task(compared.is_whole(f"{name}.of", manifest.read_any(encoded))))
        await eventually(lambda: gate.read == ["first"], deadline_s=PATIENT_S)
    await eventually(lambda: len(compared._waiting) == len(tasks), deadline_s=PATIENT_S)
    gate.open.set()
    assert await asyncio.gather(*tasks) == [True, True, True]
    assert gate.read == ["first"] * 3 + ["small"] * 2 + ["large"] * 4


async def test_a_guest_leaves_while_others_wait_for_a_comparison(tmp_path: Path, gate: Gate) -> None:
    async with stream_site(tmp_path / "images", a_disk()) as site:
        assert site.server.manifest is not None
        site.files.manifest(site.name).write_bytes(site.server.manifest)
        site.files.whole_of(site.name).write_bytes(a_disk())
        record = Record(image=site.image, guests=(GUEST, "guest-2"))
        site.files.record(site.name).write_bytes(msgspec.json.encode(record))
        await site.streams.load()
        new = asyncio.create_task(site.serve("guest-3"))
        try:
            await eventually(lambda: gate.read, deadline_s=PATIENT_S)
            await asyncio.wait_for(site.streams.leave(site.name, GUEST), PATIENT_S / 2)
            assert site.status().guests == ("guest-2",)
            assert not new.done()
        finally:
            gate.open.set()
        assert (await new).mode is Mode.LOCAL
        assert site.status().guests == ("guest-2", "guest-3")


class Process:
    """The life of a streaming process that ends once nobody needs it, by a clock that the test turns."""

    def __init__(self, site: StreamSite) -> None:
        self._clock = ManualClock()
        self._life = asyncio.create_task(until_idle(site.streams, self._clock, IDLE_S))

    async def ended_after(self, seconds: int) -> bool:
        """Tell whether it ended within so many more seconds."""
        for _ in range(seconds):
            await self._until_it_looked()
            self._clock.advance(1.0)
        await self._until_it_looked()
        return self._life.done()

    async def _until_it_looked(self) -> None:
        await eventually(lambda: self._life.done() or self._clock.sleepers, deadline_s=PATIENT_S)


def lay_down_without_a_note(site: StreamSite) -> None:
    """Have an image here that is whole, and of which nobody noted what manifest it is of."""
    assert site.server.manifest is not None
    site.files.manifest(site.name).write_bytes(site.server.manifest)
    site.files.whole_of(site.name).write_bytes(site.server.content)


async def test_the_process_goes_on_while_a_guest_waits_for_a_comparison(tmp_path: Path, gate: Gate) -> None:
    async with stream_site(tmp_path / "images", a_disk()) as site:
        lay_down_without_a_note(site)
        asked = asyncio.create_task(site.serve())
        try:
            await eventually(lambda: gate.read, deadline_s=PATIENT_S)
            assert not await Process(site).ended_after(3 * IDLE_S)
        finally:
            gate.open.set()
        assert (await asked).mode is Mode.LOCAL


async def test_the_process_goes_on_for_a_comparison_that_outlasts_who_asked(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "OPEN_S", 0.2)
    async with stream_site(tmp_path / "images", a_disk()) as site:
        lay_down_without_a_note(site)
        try:
            with pytest.raises(DownloadFailedError, match="is being compared"):
                await site.serve()
            process = Process(site)
            assert not await process.ended_after(3 * IDLE_S)
        finally:
            gate.open.set()
        await eventually(site.files.match(site.name).exists, deadline_s=PATIENT_S)
        await eventually(lambda: not site.streams.is_needed, deadline_s=PATIENT_S)
        assert await process.ended_after(2 * IDLE_S)


async def test_the_process_goes_on_while_a_guest_waits_for_a_slow_image_server(tmp_path: Path) -> None:
    async with stream_site(tmp_path / "images", a_disk()) as site:
        lay_down_without_a_note(site)
        site.files.manifest(site.name).unlink()
        site.server.may_answer = asyncio.Event()
        asked = asyncio.create_task(site.serve())
        try:
            await eventually(lambda: site.server.asked, deadline_s=PATIENT_S)
            assert not await Process(site).ended_after(3 * IDLE_S)
        finally:
            site.server.may_answer.set()
        assert (await asked).mode is Mode.LOCAL
