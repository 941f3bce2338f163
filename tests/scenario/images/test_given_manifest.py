"""Images that come with a manifest: ready without being read, refused where the manifest is not theirs."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from innkeeper.domain.images.manifest import ManifestMaker
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import Failed, InspectAnswer, InspectRequest, Ready
from innkeeper.images.inspection import Inspector, Limits
from innkeeper.images.manifests import Manifests
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.opening import SourceOpener
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.sources.source import Source, SourceInfo
from innkeeper.views.catalog import HttpSource, ImageSource, ManifestSource
from tests.kit.clock import ManualClock
from tests.kit.disks import raw_disk
from tests.kit.manifests import kept
from tests.kit.source_secrets import PlayedSecrets
from tests.kit.waiting import one_turn
from tests.scenario.images.origin import Origin

MIB = 1024**2
DISK = raw_disk(3 * MIB)
DIGEST = f"sha256:{hashlib.sha256(DISK).hexdigest()}"


def manifest_of(content: bytes, *, digest: str = DIGEST) -> bytes:
    maker = ManifestMaker()
    maker.take(content)
    return maker.manifest(digest).encode()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Site:
    """An image at one origin and its manifest at another."""

    image: Origin
    manifest: Origin
    urls: tuple[str, str]
    inspector: Inspector
    manifests: Manifests
    clock: ManualClock

    async def ask(self, *, digest: str | None = None, known: Ready | None = None) -> InspectAnswer:
        """Ask what the image is; its spec names the manifest that is served, or another digest."""
        image, manifest = self.urls
        request = InspectRequest(
            namespace="team-a",
            name="debian",
            source=ImageSource(http=HttpSource(url=image)),
            format="raw",
            digest=DIGEST,
            manifest=ManifestSource(url=manifest, digest=digest or sha256(self.manifest.content)),
            known=known,
        )
        return await self.inspector.ask(request)


@asynccontextmanager
async def site(image: Origin, manifest: bytes) -> AsyncIterator[Site]:
    beside = Origin(manifest)
    policy, manifests = OriginPolicy(listed_hosts=["127.0.0.1"]), Manifests(None)
    async with image.server() as one, beside.server() as other, client_session(policy) as session:
        urls = (str(one.make_url("/disk.raw")), str(other.make_url("/disk.raw.manifest.json")))
        opener = SourceOpener(
            session, policy=policy, directory=None, credentials=PlayedSecrets().credentials()
        )
        clock = ManualClock()
        inspector = Inspector(opener, clock=clock, manifests=manifests, limits=Limits(patience_s=10))
        yield Site(image, beside, urls, inspector, manifests, clock)
        await inspector.close()


async def test_it_is_ready_without_being_read_whole() -> None:
    encoded = manifest_of(DISK)
    async with site(Origin(DISK), encoded) as made:
        answer = await made.ask()
        assert answer == Ready(
            format="raw",
            size=len(DISK),
            virtual_size=len(DISK),
            digest=DIGEST,
            manifest_digest=sha256(encoded),
            source_version=SourceInfo(len(DISK), '"v1"').version,
        )
        ranges = [each.get("Range") for each in made.image.headers]
        assert len(ranges) == 2
        assert all(int(str(each).rpartition("-")[2]) < MIB for each in ranges), "its size, and its head"
        assert await kept(made.manifests, DIGEST, sha256(encoded)) == encoded, "hosts get it as it is"


@pytest.mark.parametrize(
    ("manifest", "digest", "word"),
    [
        (manifest_of(DISK), sha256(b"another"), "as spec.manifest says"),
        (manifest_of(DISK, digest=sha256(b"another image")), None, "that of another image"),
        (manifest_of(DISK + b"x"), None, "that of another image"),
        (manifest_of(b"x" + DISK[1:]), None, "are not those of its manifest"),
        (b"{}", None, "cannot be read"),
        (b"no manifest at all", None, "cannot be read"),
        (manifest_of(DISK) + b" " * 1100, None, "longer than"),
    ],
)
async def test_a_manifest_that_is_not_the_images_is_refused(
    manifest: bytes, digest: str | None, word: str
) -> None:
    async with site(Origin(DISK), manifest) as made:
        answer = await made.ask(digest=digest)
    assert isinstance(answer, Failed)
    assert (answer.reason, answer.retryable) == (ImageReason.DIGEST_MISMATCH, False)
    assert word in answer.message


async def test_a_manifest_longer_than_any_of_the_image_is_not_even_read() -> None:
    """What is kept of images would otherwise grow by what somebody pads theirs with."""
    async with site(Origin(DISK), manifest_of(DISK) + b" " * MIB) as made:
        answer = await made.ask()
        assert made.manifest.headers[-1]["Range"] == "bytes=0-0", "its size"
    assert isinstance(answer, Failed)
    assert (answer.reason, answer.retryable) == (ImageReason.TOO_LARGE, False)
    assert "make it with `innkeeper images manifest`" in answer.message


async def test_a_source_without_ranges_cannot_be_streamed_and_says_so() -> None:
    async with site(Origin(DISK, ranges=False), manifest_of(DISK)) as made:
        answer = await made.ask()
    assert isinstance(answer, Failed)
    assert "cannot be read in parts" in answer.message


async def test_a_manifest_that_is_away_is_asked_for_again() -> None:
    async with site(Origin(DISK), manifest_of(DISK)) as made:
        made.manifest.status = 404
        answer = await made.ask()
    assert isinstance(answer, Failed)
    assert answer.retryable


async def test_a_head_of_another_format_is_refused() -> None:
    disguised = b"QFI\xfb" + DISK[4:]
    async with site(Origin(disguised), manifest_of(disguised)) as made:
        answer = await made.ask()
    assert isinstance(answer, Failed)
    assert not answer.retryable


async def test_one_that_is_known_costs_its_source_one_question() -> None:
    async with site(Origin(DISK), manifest_of(DISK)) as made:
        known = await made.ask()
        assert isinstance(known, Ready)
        made.clock.advance(300)
        asked = len(made.image.requests), len(made.manifest.requests)
        assert await made.ask(known=known) == known
        assert (len(made.image.requests), len(made.manifest.requests)) == (asked[0] + 1, asked[1])


@pytest.mark.parametrize(
    ("content", "word"),
    [(DISK[: 2 * MIB], f"has {2 * MIB} now"), (b"x" + DISK[1:], "are not those of its manifest")],
    ids=["shorter", "another head"],
)
async def test_one_that_changed_is_found_by_its_size_and_its_head(content: bytes, word: str) -> None:
    origin = Origin(DISK)
    async with site(origin, manifest_of(DISK)) as made:
        known = await made.ask()
        assert isinstance(known, Ready)
        origin.content, origin.etag = content, '"v2"'
        made.clock.advance(300)
        answer = await made.ask(known=known)
        assert isinstance(answer, Failed)
        assert answer.reason == ImageReason.DIGEST_MISMATCH
        assert answer.message.startswith("the source changed: ")
        assert word in answer.message
        origin.content = DISK
        made.clock.advance(30)
        assert isinstance(await made.ask(), Ready)


class SilentOpener:
    """Opens nothing, ever. `asked` counts who waits for it."""

    asked = 0

    async def open(self, source: ImageSource, *, namespace: str) -> Source:  # noqa: ARG002 - as declared
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError

    async def open_beside(self, url: str, *, source: ImageSource, namespace: str) -> Source:
        raise AssertionError(f"nobody comes so far: {url}, {source}, {namespace}")


async def test_two_manifests_are_read_at_once() -> None:
    """Each is read whole: more would not fit into the memory that the chart gives."""
    opener = SilentOpener()
    inspector = Inspector(opener, clock=ManualClock())
    for number in range(5):
        question = InspectRequest(
            namespace=f"team-{number}",
            name="debian",
            source=ImageSource(http=HttpSource(url="https://origin.test/disk.raw")),
            format="raw",
            digest=DIGEST,
            manifest=ManifestSource(url="https://origin.test/manifest.json", digest=DIGEST),
        )
        inspector.look(question)
    await one_turn()
    assert (inspector.reading, opener.asked) == (5, 2)
    await inspector.close()
