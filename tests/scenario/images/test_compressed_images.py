"""Hosts read a compressed image by ranges, under the digest of its content, over real HTTP."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientResponse, ClientSession
from aiohttp.test_utils import BaseTestServer, TestServer
from prometheus_client import CollectorRegistry

from innkeeper.domain.images import manifest
from innkeeper.domain.images.compression import Compression
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import InspectRequest, Ready
from innkeeper.images.assembly import Parts, build
from innkeeper.images.settings import ImagesSettings
from innkeeper.images.signing import BlobName, UrlSigner
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import Resource
from innkeeper.views.catalog import DirectorySource, Image, ImageSource, ImageSpec, ImageStatus
from innkeeper.views.meta import Meta
from tests.kit.clock import ManualClock
from tests.kit.compressed import COMPRESSORS
from tests.kit.disks import raw_disk
from tests.kit.waiting import eventually, one_turn

DISK = raw_disk(3 * 1024 * 1024)
PACKED = COMPRESSORS[Compression.XZ](DISK)
FILE = "debian.raw.xz"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


CONTENT = BlobName("team-a", "debian", sha256(DISK))


@dataclass
class PlayedApi:
    """Knows one Image."""

    image: Image

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - as declared
        raise AssertionError("nobody shows a token here")

    async def get(self, resource: Resource[Any], name: str, *, namespace: str | None = None) -> Any:  # noqa: ARG002 - as declared
        if (namespace, name) != (self.image.metadata.namespace, self.image.metadata.name):
            raise NotFoundError(f"{name} not found")
        return self.image


def own_digest() -> str:
    """Return the digest of the content's manifest."""
    maker = manifest.ManifestMaker()
    maker.take(DISK)
    return sha256(maker.manifest(CONTENT.digest).encode())


def image(content_digest: str | None = CONTENT.digest) -> Image:
    return Image(
        metadata=Meta(name="debian", namespace="team-a"),
        spec=ImageSpec(
            source=ImageSource(directory=DirectorySource(path=FILE)),
            format="raw",
            compression="Xz",
            digest=sha256(PACKED),
        ),
        status=ImageStatus(content_digest=content_digest, manifest_digest=own_digest()),
    )


def question() -> InspectRequest:
    """Return what the operator asks about that Image."""
    spec = image().spec
    return InspectRequest(
        namespace="team-a",
        name="debian",
        source=spec.source,
        format=spec.format,
        compression=spec.compression,
        digest=spec.digest,
    )


@dataclass
class Bench:
    """A running image server with an empty store, and what it stands on."""

    api: PlayedApi
    source: Path
    store: Path
    parts: Parts
    clock: ManualClock
    signer: UrlSigner
    server: BaseTestServer
    http: ClientSession

    def url(self, blob: BlobName = CONTENT, *, manifest_digest: str = "") -> str:
        """Return a URL as hosts get it."""
        signed = self.signer.sign(blob)
        parts = urlsplit(signed.manifest_url if manifest_digest else signed.url)
        return str(self.server.make_url(f"{parts.path}?{parts.query}&manifest={manifest_digest}"))

    async def read(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[ClientResponse, bytes]:
        async with self.http.get(url, headers=headers) as answer:
            return answer, await answer.read()

    async def until_given(self, url: str) -> bytes:
        """Ask again while the server says that it is busy, as hosts do."""

        async def given() -> bool:
            answer, _ = await self.read(url)
            assert answer.status in {200, 503}
            return answer.status == 200

        await eventually(given, deadline_s=10)
        return (await self.read(url))[1]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    directory, store, key = tmp_path / "images", tmp_path / "store", tmp_path / "key"
    directory.mkdir()
    store.mkdir()
    (directory / FILE).write_bytes(PACKED)
    key.write_bytes(bytes(32))
    api, clock, policy = PlayedApi(image()), ManualClock(), OriginPolicy()
    settings = ImagesSettings(directory=directory, store_directory=store, url_key_file=key)
    signer = UrlSigner(bytes(32), base_url="http://images.test", clock=clock)
    async with client_session(policy) as session:
        parts = build(
            settings, client=api, session=session, policy=policy, clock=clock, registry=CollectorRegistry()
        )
        async with TestServer(parts.application) as server, ClientSession() as http:
            yield Bench(api, directory / FILE, store, parts, clock, signer, server, http)
        await parts.close()


async def test_a_host_reads_the_content_in_parts(bench: Bench) -> None:
    assert await bench.until_given(bench.url()) == DISK
    answer, body = await bench.read(bench.url(), {"Range": "bytes=500-1499"})
    assert (answer.status, body) == (206, DISK[500:1500])
    assert answer.headers["Content-Range"] == f"bytes 500-1499/{len(DISK)}"
    again, body = await bench.read(bench.url(), {"Range": "bytes=0-9", "If-Range": answer.headers["ETag"]})
    assert (again.status, body) == (206, DISK[:10])


async def test_the_manifest_is_that_of_the_content(bench: Bench) -> None:
    maker = manifest.ManifestMaker()
    maker.take(DISK)
    encoded = maker.manifest(CONTENT.digest).encode()
    assert await bench.until_given(bench.url(manifest_digest=sha256(encoded))) == encoded


async def test_the_source_is_not_needed_any_more(bench: Bench) -> None:
    """Nor after a restart, since the store outlives the process."""
    await bench.until_given(bench.url())
    bench.source.unlink()
    assert (await bench.read(bench.url()))[1] == DISK


async def test_content_that_is_not_there_any_more_is_made_again(bench: Bench) -> None:
    await bench.until_given(bench.url())
    (bench.store / CONTENT.digest.removeprefix("sha256:")).unlink()
    answer, _ = await bench.read(bench.url())
    assert answer.status in {502, 503}
    bench.clock.advance(61)  # it rests after it was unpacked
    assert await bench.until_given(bench.url()) == DISK


async def test_content_that_is_lost_again_rests_a_minute_however_long_it_takes_to_unpack(
    bench: Bench,
) -> None:
    """Guests wait for it. What hosts are told meanwhile is true."""
    bench.parts.inspector.look(question())
    await one_turn()
    bench.clock.advance(3 * 3600)
    await bench.until_given(bench.url())
    (bench.store / CONTENT.digest.removeprefix("sha256:")).unlink()
    answer, _ = await bench.read(bench.url())
    assert answer.status == 502, "this is how the server finds out"
    answer, body = await bench.read(bench.url())
    assert answer.status == 503
    assert "is unpacked again in 60 s at the earliest" in body.decode()
    bench.clock.advance(61)
    answer, body = await bench.read(bench.url())
    assert answer.status == 503
    assert "is being unpacked again" in body.decode()
    assert await bench.until_given(bench.url()) == DISK


async def test_content_that_cannot_be_made_again_says_why(bench: Bench) -> None:
    bench.source.rename(bench.source.with_suffix(".away"))

    async def told() -> bool:
        answer, body = await bench.read(bench.url())
        assert answer.status in {404, 503}
        return answer.status == 404 and ImageReason.NOT_FOUND in body.decode()

    await eventually(told, deadline_s=10)


@pytest.mark.parametrize(
    ("known", "named"),
    [
        pytest.param(CONTENT.digest, sha256(PACKED), id="the bytes at the source are for nobody"),
        pytest.param(sha256(b"other"), CONTENT.digest, id="the content of another Image"),
        pytest.param(None, CONTENT.digest, id="before anybody has looked at it"),
    ],
)
async def test_only_what_the_operator_has_checked_is_given(
    bench: Bench, known: str | None, named: str
) -> None:
    assert isinstance(await bench.parts.inspector.ask(question()), Ready), "the content is there"
    bench.api.image = image(known)
    answer, body = await bench.read(bench.url(BlobName("team-a", "debian", named)))
    assert answer.status == 404, body
