"""An image by its manifest: zeros are not fetched, wrong chunks are fetched again, and nothing wrong is ever kept."""

import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from innkeeper.agent.imaging.store import HostImageStore
from innkeeper.clock import SystemClock
from innkeeper.domain.images.manifest import ManifestMaker
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from tests.kit.disks import raw_disk
from tests.kit.url_server import UrlServer

CHUNK = 256 * 1024


def a_disk() -> bytes:
    """Return a raw disk of 10 chunks and a half: data, a hole of 6 chunks, data, zeros at the end."""
    noise = random.Random(1).randbytes  # noqa: S311 - any bytes will do
    head = raw_disk(CHUNK)[:512] + noise(2 * CHUNK - 512)
    return head + bytes(6 * CHUNK) + noise(CHUNK) + bytes(CHUNK + CHUNK // 2)


DISK = a_disk()


@dataclass
class Site:
    """A store and the image server that it asks."""

    server: UrlServer
    origin: str
    directory: Path
    content: bytes = DISK

    async def fetch(self) -> Path:
        """Fetch the image as a new agent does."""
        digest = f"sha256:{hashlib.sha256(self.content).hexdigest()}"
        image = OrderImage(
            namespace="images",
            name="debian",
            url=f"{self.origin}/v1/images/images/debian",
            digest=digest,
            format="raw",
            size=len(self.content),
            virtual_size=len(self.content),
        )
        store = HostImageStore(self.directory, token=lambda: "t", ca_file=None, clock=SystemClock())
        return await store.fetch(image, "guest-1", lambda _done, _total: None)

    def manifest_of(self, content: bytes) -> bytes:
        """Return the manifest of some bytes under the digest of this image."""
        maker = ManifestMaker()
        maker.take(content)
        return maker.manifest(f"sha256:{hashlib.sha256(self.content).hexdigest()}").encode()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    server = UrlServer(DISK)
    async with server.server() as running:
        made = Site(server, str(running.make_url("")).rstrip("/"), tmp_path / "images")
        server.manifest = made.manifest_of(DISK)
        yield made


async def test_zeros_are_not_fetched_and_take_no_room(site: Site) -> None:
    path = await site.fetch()
    assert path.read_bytes() == DISK
    assert site.server.ranges == [f"bytes=0-{2 * CHUNK - 1}", f"bytes={8 * CHUNK}-{9 * CHUNK - 1}"]
    assert path.stat().st_blocks * 512 < 4 * CHUNK


async def test_a_wrong_chunk_is_fetched_again(site: Site) -> None:
    """Once wrong, then right: the rest of its run is asked for from there on."""
    site.server.spoil = {CHUNK + 5: 1}
    assert (await site.fetch()).read_bytes() == DISK
    assert site.server.ranges[1] == f"bytes={CHUNK}-{2 * CHUNK - 1}"


async def test_a_chunk_that_stays_wrong_is_never_kept(site: Site) -> None:
    site.server.spoil = {CHUNK + 5: 99}
    with pytest.raises(InnkeeperError) as failed:
        await site.fetch()
    assert failed.value.reason == GuestReason.IMAGE_DOWNLOAD_FAILED
    assert f"bytes {CHUNK} to {2 * CHUNK}" in failed.value.message
    (partial,) = site.directory.glob("*.partial")
    assert partial.read_bytes() == DISK[:CHUNK]
    site.server.spoil = {}
    assert (await site.fetch()).read_bytes() == DISK


async def test_it_goes_on_at_the_chunk_where_it_broke_off(site: Site) -> None:
    site.server.cut_after = CHUNK + 1000
    with pytest.raises(InnkeeperError):
        await site.fetch()
    assert (await site.fetch()).read_bytes() == DISK
    assert site.server.ranges[1] == f"bytes={CHUNK}-{2 * CHUNK - 1}"


async def test_a_manifest_that_lies_cannot_make_a_wrong_image_good(site: Site) -> None:
    """A server that was taken over sends other bytes with their manifest: the whole digest decides."""
    forged = DISK[:CHUNK] + bytes([1]) + DISK[CHUNK + 1 :]
    site.server.content, site.server.manifest = forged, site.manifest_of(forged)
    with pytest.raises(InnkeeperError) as failed:
        await site.fetch()
    assert failed.value.reason == GuestReason.IMAGE_DIGEST_MISMATCH
    assert not failed.value.retryable
    assert not list(site.directory.glob("*.partial"))


@pytest.mark.parametrize("manifest", [b"", b"{}", b"\xff" * 1000, b'{"version": 9}'])
async def test_a_manifest_that_makes_no_sense_is_done_without(site: Site, manifest: bytes) -> None:
    site.server.manifest = manifest
    assert (await site.fetch()).read_bytes() == DISK
    assert site.server.ranges == [None]


async def test_a_server_without_ranges_is_told(site: Site) -> None:
    site.server.ranges_work = False
    with pytest.raises(InnkeeperError, match="not the range"):
        await site.fetch()
