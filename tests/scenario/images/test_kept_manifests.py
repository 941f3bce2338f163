"""Manifests as many hosts ask for them at once, some of which take nothing of what they asked for."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import ClientSession
from aiohttp.test_utils import BaseTestServer, TestServer
from prometheus_client import CollectorRegistry

from innkeeper.images.assembly import build
from innkeeper.images.blobs import StreamLimits
from innkeeper.images.kept_files import KeptFiles
from innkeeper.images.manifests import PIECE_BYTES, Manifests
from innkeeper.images.settings import ImagesSettings
from innkeeper.images.signing import BlobName, UrlSigner
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.origins import OriginPolicy
from tests.kit.clock import ManualClock
from tests.kit.manifests import kept
from tests.kit.waiting import eventually
from tests.scenario.images.image_server import PlayedApi

DIGEST = f"sha256:{1:064x}"
LARGE = bytes(range(256)) * 128 * 1024  # 32 MiB: more than sockets hold
HOUR = 3600.0
OWN = f"sha256:{hashlib.sha256(LARGE).hexdigest()}"


@dataclass
class Bench:
    """An image server that keeps one large manifest, with four places: one for each image."""

    server: BaseTestServer
    http: ClientSession
    registry: CollectorRegistry
    signer: UrlSigner

    def url(self, name: str = "debian", *, own: str = OWN) -> str:
        parts = urlsplit(self.signer.sign(BlobName("team-a", name, DIGEST)).manifest_url)
        return str(self.server.make_url(f"{parts.path}?{parts.query}&manifest={own}"))

    @property
    def taken(self) -> float | None:
        return self.registry.get_sample_value("innkeeper_images_streams")

    @property
    def ended(self) -> float | None:
        labels = {"handler": "manifests", "code": "200"}
        return self.registry.get_sample_value("innkeeper_images_requests_total", labels)


@asynccontextmanager
async def serving(tmp_path: Path, *, write_s: float) -> AsyncIterator[Bench]:
    """Serve; who takes nothing for `write_s` seconds is left."""
    (tmp_path / "key").write_bytes(bytes(32))
    clock, policy, registry = ManualClock(), OriginPolicy(), CollectorRegistry()
    await Manifests(KeptFiles(tmp_path)).keep_encoded(DIGEST, LARGE)
    settings = ImagesSettings(manifest_directory=tmp_path, url_key_file=tmp_path / "key")
    signer = UrlSigner(bytes(32), base_url="http://images.test", clock=clock)
    async with client_session(policy) as session:
        parts = build(
            settings,
            client=PlayedApi(),
            session=session,
            policy=policy,
            clock=clock,
            registry=registry,
            streams=StreamLimits(at_once=4, write_s=write_s),
        )
        async with TestServer(parts.application) as server, ClientSession() as http:
            yield Bench(server, http, registry, signer)
        await parts.close()


@contextmanager
def idle_host(url: str) -> Iterator[None]:
    """Ask, and take nothing of the answer."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield


async def test_who_takes_no_manifest_holds_one_place_of_its_image(tmp_path: Path) -> None:
    async with serving(tmp_path, write_s=HOUR) as bench:
        with idle_host(bench.url()):
            await eventually(lambda: bench.taken == 1, deadline_s=60)
            async with bench.http.get(bench.url()) as answer:
                assert answer.status == 503
                assert "1 streams of this image are open" in (await answer.json())["message"]
            async with bench.http.get(bench.url("other")) as answer:
                assert answer.content_length == len(LARGE)
                assert await answer.read() == LARGE
        await eventually(lambda: bench.taken == 0, deadline_s=60)


async def test_who_takes_no_manifest_is_left(tmp_path: Path) -> None:
    async with serving(tmp_path, write_s=0.2) as bench:
        with idle_host(bench.url()):
            await eventually(lambda: bench.ended == 1, deadline_s=60)
            assert bench.taken == 0


async def test_of_a_manifest_no_more_than_a_piece_is_read_at_once(tmp_path: Path) -> None:
    for manifests in (Manifests(KeptFiles(tmp_path)), Manifests(None)):
        await manifests.keep_encoded(DIGEST, LARGE)
        async with manifests.opened(DIGEST, OWN) as found:
            assert found is not None
            assert {len(piece) async for piece in found.pieces()} == {PIECE_BYTES}


def only_file(directory: Path) -> Path:
    [file] = directory.iterdir()
    return file


async def test_a_manifest_that_the_disk_changed_counts_as_lost(tmp_path: Path) -> None:
    manifests = Manifests(KeptFiles(tmp_path))
    await manifests.keep_encoded(DIGEST, b"{}")
    await asyncio.to_thread(only_file(tmp_path).write_bytes, b"[]")
    own = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    assert await kept(manifests, DIGEST, own) is None
    await manifests.keep_encoded(DIGEST, b"{}")
    assert await kept(manifests, DIGEST, own) == b"{}"


async def test_a_manifest_that_is_removed_while_it_is_sent_is_sent_to_its_end(tmp_path: Path) -> None:
    manifests = Manifests(KeptFiles(tmp_path))
    await manifests.keep_encoded(DIGEST, LARGE)
    async with manifests.opened(DIGEST, OWN) as found:
        assert found is not None
        await asyncio.to_thread(only_file(tmp_path).unlink)
        assert b"".join([piece async for piece in found.pieces()]) == LARGE
