"""Inspection: what the operator is told while an image is read, and after."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from innkeeper.domain.images.manifest import ManifestMaker
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import Failed, InspectAnswer, InspectRequest, Preparing, Ready
from innkeeper.images.inspection import Inspector, Limits, Resting
from innkeeper.images.kept_files import KeptFiles
from innkeeper.images.manifests import Manifests
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.opening import SourceOpener
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.sources.source import SourceError, SourceInfo
from innkeeper.views.catalog import DirectorySource, HttpSource, ImageSource
from tests.kit.clock import ManualClock
from tests.kit.disks import raw_disk
from tests.kit.manifests import kept
from tests.kit.source_secrets import PlayedSecrets
from tests.kit.waiting import eventually, one_turn
from tests.scenario.images.origin import Origin

DISK = raw_disk(2 * 1024 * 1024)


@dataclass
class FakeSource:
    """A source that a test changes between two looks. `reads` counts full readings."""

    content: bytes = DISK
    etag: str = "v1"
    failure: SourceError | None = None
    crash: Exception | None = None
    claims: int | None = None
    reads: int = 0
    opened: list[ImageSource] = field(default_factory=list)

    async def open(self, source: ImageSource, *, namespace: str) -> "FakeSource":
        assert namespace == "team-a"
        self.opened.append(source)
        return self

    async def open_beside(self, url: str, *, source: ImageSource, namespace: str) -> "FakeSource":
        raise AssertionError(f"no image of these tests has a manifest: {url}, {source}, {namespace}")

    async def stat(self) -> SourceInfo:
        if self.failure is not None:
            raise self.failure
        if self.crash is not None:
            raise self.crash
        return SourceInfo(len(self.content) if self.claims is None else self.claims, self.etag)

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        self.reads += 1
        for offset in range(start, end, 65536):
            yield self.content[offset : min(offset + 65536, end)]


class StuckSource(FakeSource):
    """Gives half of the image and then nothing."""

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        yield self.content[start : (start + end) // 2]
        await asyncio.Event().wait()


def request_for(content: bytes = DISK, **changes: object) -> InspectRequest:
    question = InspectRequest(
        namespace="team-a",
        name="debian",
        source=ImageSource(directory=DirectorySource(path="debian.raw")),
        format="raw",
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
    )
    return msgspec.structs.replace(question, **changes)


@dataclass
class Bench:
    """An inspector with a source and a clock to play with."""

    source: FakeSource
    clock: ManualClock
    inspector: Inspector

    async def settled(self, request: InspectRequest) -> InspectAnswer:
        """Ask as the operator does, until nothing is being read."""

        def idle() -> bool:
            self.inspector.look(request)
            return not self.inspector.reading

        await eventually(idle, deadline_s=10)
        return self.inspector.look(request)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    source, clock = FakeSource(), ManualClock()
    inspector = Inspector(
        source, clock=clock, limits=Limits(retry_after_s=20, max_bytes=64 * 1024**2, kept=3)
    )
    yield Bench(source, clock, inspector)
    await inspector.close()


def found_ready(digest: str, *, etag: str = "v1") -> Ready:
    """Return what is to be found out about the disk, the digest of its manifest included."""
    maker = ManifestMaker()
    maker.take(DISK)
    manifest = f"sha256:{hashlib.sha256(maker.manifest(digest).encode()).hexdigest()}"
    return Ready(
        format="raw",
        size=len(DISK),
        virtual_size=len(DISK),
        digest=digest,
        manifest_digest=manifest,
        source_version=SourceInfo(len(DISK), etag).version,
    )


async def test_the_first_answer_comes_at_once(bench: Bench) -> None:
    assert bench.inspector.look(request_for()) == Preparing(progress="0%")


async def test_a_good_image_becomes_ready_and_is_read_once(bench: Bench) -> None:
    request = request_for()
    expected = found_ready(request.digest)
    assert await bench.settled(request) == expected
    bench.clock.advance(3600)
    assert await bench.settled(request) == expected
    assert bench.source.reads == 1


async def test_an_image_declared_by_its_sha512_is_checked_by_that(bench: Bench) -> None:
    declared = f"sha512:{hashlib.sha512(DISK).hexdigest()}"
    answer = await bench.settled(request_for(digest=declared))
    assert answer == found_ready(declared)


async def test_a_wrong_sha512_shows_both(bench: Bench) -> None:
    declared = f"sha512:{hashlib.sha512(DISK).hexdigest()}"
    bench.source.content = raw_disk(1024 * 1024)
    answer = await bench.settled(request_for(digest=declared))
    assert isinstance(answer, Failed)
    assert (answer.reason, answer.retryable) == (ImageReason.DIGEST_MISMATCH, False)
    assert declared in answer.message
    assert f"sha512:{hashlib.sha512(bench.source.content).hexdigest()}" in answer.message


async def test_an_image_behind_a_redirecting_url_is_read_by_its_sha512() -> None:
    policy, declared = OriginPolicy(listed_hosts=["127.0.0.1"]), f"sha512:{hashlib.sha512(DISK).hexdigest()}"
    async with Origin(DISK).server() as mirror, client_session(policy) as session:
        first = Origin(b"", redirect=str(mirror.make_url("/mirror/debian.raw")))
        async with first.server() as server:
            source = ImageSource(http=HttpSource(url=str(server.make_url("/images/debian.raw"))))
            opener = SourceOpener(
                session, policy=policy, directory=None, credentials=PlayedSecrets().credentials()
            )
            inspector = Inspector(opener, clock=ManualClock(), limits=Limits(patience_s=10))
            answer = await inspector.ask(request_for(source=source, digest=declared))
            await inspector.close()
    assert answer == found_ready(declared, etag='"v1"')


async def test_a_small_image_is_ready_in_the_first_answer(bench: Bench) -> None:
    assert isinstance(await bench.inspector.ask(request_for()), Ready)


async def test_a_mended_source_is_seen_in_one_answer(bench: Bench) -> None:
    bench.source.content = raw_disk(1024 * 1024)
    assert isinstance(await bench.inspector.ask(request_for()), Failed)
    bench.source.content, bench.source.etag = DISK, "v2"
    bench.clock.advance(21)
    assert isinstance(await bench.inspector.ask(request_for()), Ready)


async def test_a_slow_source_does_not_hold_up_the_answer() -> None:
    source = StuckSource()
    inspector = Inspector(source, clock=ManualClock(), limits=Limits(patience_s=0.05))
    assert isinstance(await inspector.ask(request_for()), Preparing)
    await eventually(lambda: inspector.look(request_for()) == Preparing(progress="50%"))
    await inspector.close()


async def test_a_reading_that_never_ends_is_ended() -> None:
    inspector = Inspector(StuckSource(), clock=ManualClock(), limits=Limits(deadline_s=0.05))
    answer = await inspector.ask(request_for())
    assert isinstance(answer, Failed)
    assert answer.reason == ImageReason.SOURCE_UNREACHABLE
    assert answer.retryable


async def test_equal_questions_share_one_reading(bench: Bench) -> None:
    for _ in range(5):
        bench.inspector.look(request_for())
    await bench.settled(request_for())
    assert bench.source.reads == 1


async def test_a_wrong_digest_shows_both_and_is_not_read_again_until_the_source_changes(bench: Bench) -> None:
    bench.source.content = raw_disk(1024 * 1024)
    request = request_for()
    answer = await bench.settled(request)
    assert isinstance(answer, Failed)
    assert answer.reason == ImageReason.DIGEST_MISMATCH
    assert request.digest in answer.message
    assert f"sha256:{hashlib.sha256(bench.source.content).hexdigest()}" in answer.message
    assert not answer.retryable

    bench.clock.advance(21)
    assert await bench.settled(request) == answer
    assert bench.source.reads == 1

    bench.source.content, bench.source.etag = DISK, "v2"
    bench.clock.advance(21)
    assert isinstance(await bench.settled(request), Ready)


async def test_a_wrong_image_without_a_version_is_read_ever_more_seldom(bench: Bench) -> None:
    """It may have been mended behind the same size, and reading it again each minute would cost its whole size."""
    bench.source.content, bench.source.etag = raw_disk(1024 * 1024), ""
    answer = await bench.settled(request_for())
    assert isinstance(answer, Failed)
    assert "read again in 5 minutes at the earliest" in answer.message
    minutes = []
    for minute in range(1, 76):
        bench.clock.advance(60)
        before = bench.source.reads
        await bench.settled(request_for())
        minutes += [minute] if bench.source.reads > before else []
    assert minutes == [5, 15, 35, 75]

    bench.source.content = DISK
    bench.clock.advance(60)
    assert isinstance(await bench.settled(request_for()), Ready), "another size is looked at at once"


async def test_a_wrong_image_that_was_mended_behind_the_same_size_becomes_ready(bench: Bench) -> None:
    bench.source.content, bench.source.etag = bytes(len(DISK)), ""
    assert isinstance(await bench.settled(request_for()), Failed)
    bench.source.content = DISK
    bench.clock.advance(299)
    assert isinstance(await bench.settled(request_for()), Failed)
    bench.clock.advance(21)
    assert isinstance(await bench.settled(request_for()), Ready)


async def test_a_source_that_changed_while_it_was_read_is_not_wrong_for_good(bench: Bench) -> None:
    """The file was swapped for a moment, and is back under the version that it had before and has again."""

    class Swapped(FakeSource):
        async def stat(self) -> SourceInfo:
            self.etag = "v1" if self.reads == 0 else "v2"
            return await super().stat()

    bench.source = Swapped(raw_disk(len(DISK))[:-1] + b"x")
    bench.inspector = Inspector(bench.source, clock=bench.clock)
    answer = await bench.settled(request_for())
    assert isinstance(answer, Failed)
    assert answer.reason == ImageReason.DIGEST_MISMATCH
    assert "read again in 5 minutes at the earliest" in answer.message

    bench.source.content, bench.source.reads = DISK, 0
    bench.clock.advance(301)
    assert isinstance(await bench.settled(request_for()), Ready)


async def test_a_place_is_not_wrong_for_what_another_gave() -> None:
    """The first, which is right and told its version, broke off once; the second is stale and went on."""
    stale = bytearray(DISK)
    stale[-1] ^= 1
    first, second = Origin(DISK, cut_after=1024 * 1024), Origin(bytes(stale), etag='"old"')
    policy, clock = OriginPolicy(listed_hosts=["127.0.0.1"]), ManualClock()
    async with first.server() as one, second.server() as other, client_session(policy) as session:
        http = HttpSource(url=str(one.make_url("/x")), mirrors=[str(other.make_url("/x"))])
        request = request_for(source=ImageSource(http=http))
        opener = SourceOpener(
            session, policy=policy, directory=None, credentials=PlayedSecrets().credentials()
        )
        inspector = Inspector(opener, clock=clock, limits=Limits(patience_s=60))
        answer = await inspector.ask(request)
        assert isinstance(answer, Failed)
        assert answer.reason == ImageReason.DIGEST_MISMATCH
        first.cut_after = None
        clock.advance(301)
        assert isinstance(await inspector.ask(request), Ready)
        await inspector.close()


async def test_a_failure_stays_the_answer_until_the_new_one_is_there(bench: Bench) -> None:
    bench.source.failure = SourceError("there is no file", reason=ImageReason.NOT_FOUND)
    failed = Failed(reason=ImageReason.NOT_FOUND, message="there is no file", retryable=True)
    assert await bench.settled(request_for()) == failed
    bench.source.failure = None
    assert await bench.settled(request_for()) == failed, "not looked at again before its time"
    bench.clock.advance(21)
    assert bench.inspector.look(request_for()) == failed
    assert isinstance(await bench.settled(request_for()), Ready)


async def test_an_image_over_the_cap_is_not_read(bench: Bench) -> None:
    answer = await bench.settled(request_for(max_bytes=1000))
    assert isinstance(answer, Failed)
    assert answer.reason == ImageReason.TOO_LARGE
    assert "1000" in answer.message
    bench.source.claims = 65 * 1024**2
    answer = await bench.settled(request_for(max_bytes=1024**4))
    assert isinstance(answer, Failed)
    assert answer.reason == ImageReason.TOO_LARGE
    assert bench.source.reads == 0


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>not found</html>", b"\x7fELF" + b"x" * 5000])
async def test_what_is_no_image_fails(bench: Bench, content: bytes) -> None:
    bench.source.content = content
    answer = await bench.settled(request_for(content, format="qcow2"))
    assert isinstance(answer, Failed)
    assert answer.reason in {ImageReason.NOT_AN_IMAGE, ImageReason.FORMAT_MISMATCH}


async def test_a_source_that_ends_early_is_tried_again(bench: Bench) -> None:
    bench.source.claims = len(DISK) + 512
    answer = await bench.settled(request_for())
    assert isinstance(answer, Failed)
    assert answer.retryable
    bench.source.claims = None
    bench.clock.advance(21)
    assert isinstance(await bench.settled(request_for()), Ready)


async def test_a_fault_of_our_own_puts_no_traceback_into_the_answer(bench: Bench) -> None:
    bench.source.crash = RuntimeError("secret detail")
    answer = await bench.settled(request_for())
    assert isinstance(answer, Failed)
    assert "secret detail" not in answer.message


async def test_results_that_nobody_asks_for_are_forgotten(bench: Bench) -> None:
    for number in range(6):
        await bench.settled(request_for(name=f"image-{number}"))
    assert bench.inspector.known == 3
    assert isinstance(await bench.settled(request_for(name="image-0")), Ready)
    assert bench.source.reads == 7


async def test_what_is_lost_again_and_again_costs_a_reading_now_and_then(bench: Bench) -> None:
    """Whoever asks for it: a source is not read without an end."""
    await bench.settled(request_for())
    for _ in range(5):
        assert bench.inspector.read_again(request_for()) == Resting(60)
    bench.clock.advance(61)
    for _ in range(5):
        bench.inspector.read_again(request_for())
        await bench.settled(request_for())
    assert bench.source.reads == 2


async def test_what_took_hours_to_read_rests_as_long_before_it_is_read_for_its_manifest(bench: Bench) -> None:
    bench.inspector.look(request_for())
    await one_turn()
    bench.clock.advance(7200)
    await bench.settled(request_for())
    assert bench.inspector.read_again(request_for()) == Resting(7200)


@pytest.mark.parametrize("origin", [Origin(DISK), Origin(DISK, ranges=False)], ids=["ranges", "no ranges"])
async def test_a_manifest_is_kept_where_the_source_can_be_read_in_parts(
    tmp_path: Path, origin: Origin
) -> None:
    """It outlives the image server in its directory."""
    policy = OriginPolicy(listed_hosts=["127.0.0.1"])
    async with origin.server() as server, client_session(policy) as session:
        opener = SourceOpener(
            session, policy=policy, directory=None, credentials=PlayedSecrets().credentials()
        )
        request = request_for(source=ImageSource(http=HttpSource(url=str(server.make_url("/x")))))
        inspector = Inspector(
            opener,
            clock=ManualClock(),
            manifests=Manifests(KeptFiles(tmp_path)),
            limits=Limits(patience_s=10),
        )
        assert isinstance(await inspector.ask(request), Ready)
        await inspector.close()
    own = found_ready(request.digest).manifest_digest or ""
    found = await kept(Manifests(KeptFiles(tmp_path)), request.digest, own)
    assert (found is not None) == origin.ranges


async def test_manifests_in_memory_are_few() -> None:
    manifests = Manifests(None, kept_bytes=300)
    digests = [f"sha256:{number:064x}" for number in range(3)]
    owns = []
    for digest in digests:
        maker = ManifestMaker()
        maker.take(b"x")
        owns.append(await manifests.keep(maker.manifest(digest)) or "")
    assert await kept(manifests, digests[0], owns[0]) is None
    assert await kept(manifests, digests[-1], owns[-1]) is not None
