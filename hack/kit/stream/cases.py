"""One case of the bench: a link, and on it every way in which a guest can come to its image."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from innkeeper.agent.imaging.files import ImageFiles
from innkeeper.agent.imaging.overlay import stream_backing
from innkeeper.agent.streaming.streamer import StreamCommand, Streamer
from innkeeper.clock import SystemClock
from innkeeper.domain import orders
from kit import steps
from kit.stream.boots import booting
from kit.stream.image import BenchImage
from kit.stream.origin import Spec

WHOLE_WITHIN_S = 600.0
_KEY = bytes(32)


@dataclass(frozen=True)
class Link:
    """A case: its name and its limits."""

    name: str
    mbit_s: float
    delay_ms: float


LINKS = (Link("1gbit", 1000, 0), Link("100mbit", 100, 0), Link("100mbit20ms", 100, 20))


@dataclass(frozen=True)
class Seen:
    """What one boot from a stream took."""

    marker_s: float
    marker_bytes: int  # on the wire
    marker_unpacked_bytes: int
    local_after_s: float | None = None


class Case:
    """Runs all ways over one link, each on a host of its own that has seen nothing."""

    def __init__(self, link: Link, image: BenchImage, directory: Path) -> None:
        self._link = link
        self._image = image
        self._directory = directory / link.name
        self._directory.mkdir()

    async def run(self, *, quick: bool) -> dict[str, float | None]:
        """Return the figures of this case; `quick` leaves out all but a local boot and one that nobody knows."""
        with self._origin() as origin:
            with steps.step(f"{self._link.name}: from a local copy"):
                local = await self._boot("local", str(self._image.path))
            with steps.step(f"{self._link.name}: an image never seen"):
                cold = await self._streamed(origin, "cold", until_learnt=not quick)
            figures: dict[str, float | None] = {
                "cold_marker_s": cold.marker_s,
                "cold_marker_bytes": cold.marker_bytes,
                "cold_marker_unpacked_bytes": cold.marker_unpacked_bytes,
                "local_marker_s": local,
            }
            if quick:
                return figures
            with steps.step(f"{self._link.name}: with a boot profile, then a second guest"):
                known = await self._streamed(origin, "known", until_whole=True)
                before = await _sent(origin)
                whole = ImageFiles(self._directory / "known").whole_of(self._image.name)
                second = await self._boot("second", str(whole))
            figures |= {
                "marker_s": known.marker_s,
                "marker_bytes": known.marker_bytes,
                "marker_unpacked_bytes": known.marker_unpacked_bytes,
                "marker_share": known.marker_bytes / self._image.full_bytes,
                "marker_unpacked_share": known.marker_unpacked_bytes / self._image.full_bytes,
                "local_after_s": known.local_after_s,
                "second_marker_s": second,
                "second_guest_bytes": await _sent(origin) - before,
            }
            with steps.step(f"{self._link.name}: download, convert, boot"):
                figures["import_marker_s"] = await self._imported(origin)
            return figures

    async def _boot(self, name: str, backing: str) -> float:
        begun = time.monotonic()
        with booting(self._directory / f"guest-{name}", backing=backing) as guest:
            return await guest.marker() - begun

    async def _streamed(
        self, origin: str, name: str, *, until_learnt: bool = False, until_whole: bool = False
    ) -> Seen:
        files = ImageFiles(self._directory / name)
        before, begun = await _asked(origin), time.monotonic()
        async with streaming(files) as streamer:
            await streamer.serve(self._image.ordered_from(origin), name)
            backing = stream_backing(self._image.name, files.nbd_socket).name
            with booting(self._directory / f"guest-{name}", backing=backing) as guest:
                marker = await guest.marker()
                now = await _asked(origin)
                if until_learnt:
                    await _until_learnt(origin)
                if until_whole:
                    await streamer.until_whole(self._image.name, lambda _done, _total: None)
                whole = time.monotonic()
        return Seen(
            marker_s=marker - begun,
            marker_bytes=now["sent"] - before["sent"],
            marker_unpacked_bytes=now["unpacked"] - before["unpacked"],
            local_after_s=whole - marker if until_whole else None,
        )

    async def _imported(self, origin: str) -> float:
        begun = time.monotonic()
        download, disk = self._directory / "download.qcow2", self._directory / "imported.raw"
        async with aiohttp.ClientSession() as session, session.get(f"{origin}/packed") as answer:
            with download.open("wb") as file:
                async for piece in answer.content.iter_chunked(1024**2):
                    file.write(piece)
        words = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(download), str(disk)]
        process = await asyncio.create_subprocess_exec(*words)
        if await process.wait() != 0:
            raise steps.StepError("qemu-img could not convert the image")
        took = time.monotonic() - begun
        return took + await self._boot("imported", str(disk))

    @contextmanager
    def _origin(self) -> Iterator[str]:
        spec = Spec(
            image=str(self._image.path),
            manifest=str(self._image.manifest),
            packed=str(self._image.path.with_suffix(".qcow2")),
            mbit_s=self._link.mbit_s,
            delay_ms=self._link.delay_ms,
        )
        path = self._directory / "origin.json"
        path.write_bytes(msgspec.json.encode(spec))
        words = [sys.executable, "-m", "kit.stream.origin", str(path)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
            process.wait()


@asynccontextmanager
async def streaming(files: ImageFiles) -> AsyncIterator[Streamer]:
    """Yield the streaming process of a host; it is ended with the context."""
    await asyncio.to_thread(files.make)
    join = files.directory.with_suffix(".join.json")
    key = base64.b64encode(_KEY).decode()
    document = {"host": "bench", "server": "http://127.0.0.1:1", "tokenFile": join.name}
    join.write_text(json.dumps({**document, "orderKeys": {orders.key_id(_KEY): key}}))
    command = StreamCommand(
        directory=files.directory, join_file=join, fill_mib_s=0, log_format="console", log_level="warning"
    )
    streamer = Streamer(command, clock=SystemClock())
    try:
        yield streamer
    finally:
        found = await streamer.version()
        await streamer.close()
        os.kill(found.pid, signal.SIGKILL)


async def _sent(origin: str) -> int:
    """Return how many bytes the origin has sent so far."""
    return int((await _asked(origin))["sent"])


async def _until_learnt(origin: str) -> None:
    deadline = time.monotonic() + WHOLE_WITHIN_S
    while not (await _asked(origin))["profile"]:
        if time.monotonic() > deadline:
            raise steps.StepError("no boot profile was learnt")
        await asyncio.sleep(0.5)


async def _asked(origin: str) -> dict[str, int]:
    async with aiohttp.ClientSession() as session, session.get(f"{origin}/sent") as answer:
        found: dict[str, int] = await answer.json()
        return found
