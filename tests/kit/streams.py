"""The streams of a host in this process: an image server that may be made to fail, and QEMU's own tools as readers."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from innkeeper.agent.imaging.comparisons import Comparisons
from innkeeper.agent.imaging.files import ImageFiles, stream_name
from innkeeper.agent.imaging.image_server import ImageServerSession
from innkeeper.agent.streaming.chunk_index import ChunkIndex
from innkeeper.agent.streaming.control import Control, News
from innkeeper.agent.streaming.messages import ImageStatus, Serve
from innkeeper.agent.streaming.nbd.server import NbdServer
from innkeeper.agent.streaming.pace import Pace
from innkeeper.agent.streaming.settings import StreamProcess
from innkeeper.agent.streaming.socket_access import SocketAccess
from innkeeper.agent.streaming.stream import Surroundings
from innkeeper.agent.streaming.streamer import StreamCommand, Streamer
from innkeeper.agent.streaming.streams import Streams
from innkeeper.clock import Clock, SystemClock
from innkeeper.domain.images.manifest import ManifestMaker
from innkeeper.domain.orders import OrderImage
from tests.kit.disks import raw_disk
from tests.kit.url_server import UrlServer
from tests.kit.waiting import eventually

CHUNK = 256 * 1024
GUEST = "guest-1"


def a_disk(seed: int = 1, *, chunks: int = 24) -> bytes:
    """Return a raw disk: data, a hole of six chunks, data, and half a chunk of zeros at its end."""
    noise = random.Random(seed).randbytes  # noqa: S311 - any bytes will do
    head = raw_disk(CHUNK)[:512] + noise(4 * CHUNK - 512)
    return head + bytes(6 * CHUNK) + noise((chunks - 10) * CHUNK) + bytes(CHUNK // 2)


def manifest_of(content: bytes, *, digest: str) -> bytes:
    """Return the manifest of some bytes under the digest of an image."""
    maker = ManifestMaker()
    maker.take(content)
    return maker.manifest(digest).encode()


def image_of(
    content: bytes, origin: str, manifest: bytes | None = None, *, name: str = "debian"
) -> OrderImage:
    """Return an image as an order names it."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    encoded = manifest or manifest_of(content, digest=digest)
    return OrderImage(
        namespace="images",
        name=name,
        url=f"{origin}/v1/images/images/{name}",
        digest=digest,
        format="raw",
        size=len(content),
        virtual_size=len(content),
        manifest_digest=f"sha256:{hashlib.sha256(encoded).hexdigest()}",
    )


@dataclass
class StreamSite:
    """An image server with one image, and the host's streams."""

    server: UrlServer
    image: OrderImage
    streams: Streams
    files: ImageFiles

    @property
    def name(self) -> str:
        """The stream's name on the host."""
        return stream_name(self.image)

    async def serve(
        self, guest_id: str = GUEST, *, whole_soon: bool = False, has_disk: bool = False
    ) -> ImageStatus:
        """Have the image served, to a guest that has its disk or to one that has none yet."""
        wanted = Serve(image=self.image, guest_id=guest_id, whole_soon=whole_soon, has_disk=has_disk)
        return await self.streams.serve(wanted)

    def status(self) -> ImageStatus:
        """Return how it stands."""
        return next(each for each in self.streams.statuses() if each.name == self.name)

    async def read(self, first: int, count: int = 1) -> bytes | None:
        """Read chunks as QEMU does; None for an I/O error."""
        return await read(self.files, self.name, first * CHUNK, count * CHUNK)

    async def until_whole(self) -> None:
        """Wait until all of it is here."""
        await eventually(lambda: self.files.whole_of(self.name).exists(), deadline_s=20)


async def read(files: ImageFiles, name: str, offset: int, length: int) -> bytes | None:
    """Read a part of an export with qemu-img; None for an I/O error."""
    out = files.directory / f"read-{name[:8]}-{offset}-{random.random()}"  # noqa: S311 - a name that is free
    source = {
        "driver": "raw",
        "offset": offset,
        "size": length,
        "file": {"driver": "nbd", "path": str(files.nbd_socket), "export": name},
    }
    words = ["convert", "-O", "raw", "json:" + msgspec.json.encode(source).decode(), str(out)]
    process = await asyncio.create_subprocess_exec(
        "qemu-img", *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        if await process.wait() != 0:
            return None
        return await asyncio.to_thread(out.read_bytes)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        out.unlink(missing_ok=True)


@asynccontextmanager
async def streams_in(
    directory: Path,
    *,
    clock: Clock | None = None,
    index: ChunkIndex | None = None,
    ca_file: Path | None = None,
) -> AsyncIterator[Streams]:
    """Yield the streams of a host, as a new process has them; they end as a killed process does."""
    files, used = ImageFiles(directory), clock or SystemClock()
    files.make()
    around = Surroundings(
        files=files,
        comparisons=Comparisons(files),
        index=index or ChunkIndex(),
        pace=Pace(0, used),
        clock=used,
        changed=lambda: None,
    )
    async with ImageServerSession(ca_file) as session:
        streams = Streams(session, around, token=lambda: "secret-token")
        server = NbdServer(files.nbd_socket, streams, access=SocketAccess())
        streams.hang_up = server.drop
        serving = asyncio.create_task(server.run())
        await eventually(files.nbd_socket.exists)
        try:
            yield streams
        finally:
            serving.cancel()
            await asyncio.wait((serving,))
            await streams.close()


@asynccontextmanager
async def stream_site(
    directory: Path,
    content: bytes,
    *,
    manifest: bytes | None = None,
    index: ChunkIndex | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[StreamSite]:
    """Yield a host's streams and an image server that has one image."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    server = UrlServer(content, manifest=manifest or manifest_of(content, digest=digest))
    async with server.server() as running, streams_in(directory, index=index, clock=clock) as streams:
        image = image_of(content, str(running.make_url("")).rstrip("/"), server.manifest)
        yield StreamSite(server, image, streams, ImageFiles(directory))


@asynccontextmanager
async def streamer_of(
    site: StreamSite, *, clock: Clock | None = None, news: News | None = None
) -> AsyncIterator[Streamer]:
    """Yield the agent's end of a site's streams, which answer it as a process does that others started."""
    command = StreamCommand(directory=site.files.directory)
    streamer = Streamer(command, clock=clock or SystemClock(), process=StreamProcess.EXTERNAL)
    runner = await Control(site.streams, news or News()).listen(site.files.control_socket)
    try:
        yield streamer
    finally:
        await streamer.close()
        await runner.cleanup()
