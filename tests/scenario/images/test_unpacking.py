"""Images that lie compressed at their source: what the operator is told, and what stays in the store."""

import asyncio
import errno
import hashlib
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from innkeeper.domain.images.compression import Compression
from innkeeper.domain.images.manifest import ManifestMaker
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import Failed, InspectAnswer, InspectRequest, Preparing, Ready
from innkeeper.images.inspection import Inspector, Limits
from innkeeper.images.manifests import Manifests
from innkeeper.images.sources.source import SourceInfo
from innkeeper.images.unpacking.store import Store
from innkeeper.images.unpacking.unpacked import Unpacker
from innkeeper.views.catalog import DirectorySource, ImageSource, ManifestSource
from tests.kit.clock import ManualClock
from tests.kit.compressed import COMPRESSORS
from tests.kit.disks import raw_disk
from tests.kit.manifests import kept
from tests.kit.waiting import eventually

MIB = 1024**2
NOISE = random.Random(1).randbytes(MIB + 512)  # noqa: S311 - no secret
DISK = raw_disk(3 * MIB) + NOISE + bytes(2 * MIB)
each_kind = pytest.mark.parametrize("kind", list(Compression))


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class FakeSource:
    """A compressed file. `stuck_at` bytes it gives, and then nothing."""

    content: bytes
    etag: str = "v1"
    stuck_at: int | None = None
    reads: int = 0

    async def open(self, source: ImageSource, *, namespace: str) -> "FakeSource":  # noqa: ARG002 - as declared
        return self

    async def open_beside(self, url: str, *, source: ImageSource, namespace: str) -> "FakeSource":  # noqa: ARG002 - as declared
        raise AssertionError("nothing lies beside")

    async def stat(self) -> SourceInfo:
        return SourceInfo(len(self.content), self.etag, has_ranges=False)

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        self.reads += 1
        for offset in range(start, end, 4096):
            if self.stuck_at is not None and offset >= self.stuck_at:
                await asyncio.Event().wait()
            yield self.content[offset : min(offset + 4096, end)]


@dataclass
class Bench:
    """An inspector with a store, and a source that a test fills."""

    source: FakeSource
    store: Store
    inspector: Inspector
    manifests: Manifests
    clock: ManualClock
    directory: Path

    async def ask(self, packed: bytes, kind: str = "Xz", **changes: object) -> InspectAnswer:
        """Ask what an image is whose source holds these bytes."""
        self.source.content = packed
        return await self.inspector.ask(question(packed, kind, **changes))

    @property
    def kept(self) -> list[str]:
        """The names of the files in the store."""
        return sorted(path.name for path in self.directory.iterdir() if path.name != "lock")


def question(packed: bytes, kind: str = "Xz", **changes: object) -> InspectRequest:
    request = InspectRequest(
        namespace="team-a",
        name="debian",
        source=ImageSource(directory=DirectorySource(path="debian.raw.xz")),
        format="raw",
        compression=kind,
        digest=sha256(packed),
    )
    return msgspec.structs.replace(request, **changes)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    source, clock, manifests = FakeSource(b""), ManualClock(), Manifests(None)
    store = Store(tmp_path, clock=clock, max_bytes=16 * MIB)
    limits = Limits(max_bytes=64 * MIB, patience_s=20)
    inspector = Inspector(
        source, clock=clock, manifests=manifests, unpacker=Unpacker(store, manifests), limits=limits
    )
    yield Bench(source, store, inspector, manifests, clock, tmp_path)
    await inspector.close()
    store.close()


def failure(answer: InspectAnswer) -> Failed:
    assert isinstance(answer, Failed)
    return answer


@each_kind
async def test_it_becomes_the_same_image_as_unpacked(bench: Bench, kind: Compression) -> None:
    """Size, digest and manifest are those of the content, and the digest that was declared is the source's own."""
    packed = COMPRESSORS[kind](DISK)
    maker = ManifestMaker()
    maker.take(DISK)
    manifest = maker.manifest(sha256(DISK)).encode()
    assert await bench.ask(packed, kind) == Ready(
        format="raw",
        size=len(DISK),
        virtual_size=len(DISK),
        digest=sha256(packed),
        content_digest=sha256(DISK),
        manifest_digest=sha256(manifest),
        source_version=(await bench.source.stat()).version,
    )
    assert await kept(bench.manifests, sha256(DISK), sha256(manifest)) == manifest
    path = bench.directory / hashlib.sha256(DISK).hexdigest()
    assert path.read_bytes() == DISK
    assert bench.source.reads == 1


async def test_zeros_take_no_disk(bench: Bench) -> None:
    """A disk of 48 MiB that is nearly empty fits into a store of 16 MiB."""
    answer = await bench.ask(COMPRESSORS[Compression.XZ](raw_disk(48 * MIB)))
    assert isinstance(answer, Ready)
    assert answer.size == 48 * MIB
    [name] = bench.kept
    assert (bench.directory / name).stat().st_size == 48 * MIB
    assert (bench.directory / name).stat().st_blocks * 512 <= MIB


async def test_a_sha512_of_the_source_is_checked_too(bench: Bench) -> None:
    packed = COMPRESSORS[Compression.XZ](DISK)
    declared = f"sha512:{hashlib.sha512(packed).hexdigest()}"
    answer = await bench.ask(packed, digest=declared)
    assert isinstance(answer, Ready)
    assert (answer.digest, answer.content_digest) == (declared, sha256(DISK))


async def test_how_far_it_is_counts_the_bytes_of_the_source(bench: Bench) -> None:
    bench.source.content = packed = COMPRESSORS[Compression.XZ](DISK)
    bench.source.stuck_at = len(packed) // 2
    bench.inspector.look(question(packed))
    await eventually(
        lambda: bench.inspector.look(question(packed)) in [Preparing(progress=f"{n}%") for n in (49, 50)]
    )


async def test_a_wrong_digest_leaves_nothing_and_shows_both(bench: Bench) -> None:
    packed = COMPRESSORS[Compression.XZ](DISK)
    error = failure(await bench.ask(packed, digest=sha256(DISK)))
    assert (error.reason, error.retryable) == (ImageReason.DIGEST_MISMATCH, False)
    assert sha256(packed) in error.message
    assert sha256(DISK) in error.message
    assert bench.kept == []
    bench.clock.advance(21)
    await bench.ask(packed, digest=sha256(DISK))
    assert bench.source.reads == 1, "wrong bytes are not read again before the source changes"


@each_kind
async def test_more_than_is_allowed_ends_at_the_limit(bench: Bench, kind: Compression) -> None:
    """Of the image server, or of the question; the rest of the source is not even read."""
    packed = COMPRESSORS[kind](DISK) + COMPRESSORS[kind](bytes(64 * MIB)) * 200
    error = failure(await bench.ask(packed, kind, max_bytes=4 * MIB))
    assert (error.reason, error.retryable) == (ImageReason.TOO_LARGE, False)
    assert str(4 * MIB) in error.message
    assert failure(await bench.ask(packed, kind)).reason == ImageReason.TOO_LARGE
    assert bench.kept == []


async def test_what_is_no_image_is_found_at_its_head(bench: Bench) -> None:
    """The rest of a large file is not waited for."""
    packed = COMPRESSORS[Compression.XZ](b"<!DOCTYPE html>" + NOISE)
    bench.source.stuck_at = len(packed) // 2
    assert failure(await bench.ask(packed)).reason == ImageReason.NOT_AN_IMAGE
    assert bench.kept == []


@pytest.mark.parametrize("kind", ["Gzip", "Zstd"])
async def test_another_compression_than_declared_is_named(bench: Bench, kind: str) -> None:
    error = failure(await bench.ask(COMPRESSORS[Compression.XZ](DISK), kind))
    assert (error.reason, error.retryable) == (ImageReason.FORMAT_MISMATCH, False)
    assert "set spec.compression: Xz in a new Image" in error.message


@pytest.mark.parametrize("declared", ["raw", "qcow2"])
@each_kind
async def test_a_compression_that_is_not_declared_is_named(
    bench: Bench, kind: Compression, declared: str
) -> None:
    error = failure(await bench.ask(COMPRESSORS[kind](DISK), compression=None, format=declared))
    assert (error.reason, error.retryable) == (ImageReason.FORMAT_MISMATCH, False)
    assert f"it is compressed with {kind.tool}: set spec.compression: {kind}" in error.message


async def test_an_image_server_without_a_store_says_what_is_missing() -> None:
    packed = COMPRESSORS[Compression.XZ](DISK)
    source = FakeSource(packed)
    inspector = Inspector(source, clock=ManualClock(), limits=Limits(patience_s=20))
    error = failure(await inspector.ask(question(packed)))
    await inspector.close()
    assert error.reason == ImageReason.SOURCE_REFUSED
    assert "--store-directory" in error.message
    assert source.reads == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"compression": "Bzip2"}, "use Gzip, Xz or Zstd"),
        ({"manifest": ManifestSource(url="https://a.test/m", digest=sha256(b""))}, "leave spec.manifest out"),
    ],
)
async def test_what_admission_refuses_is_refused_here_too(
    bench: Bench, change: dict[str, object], words: str
) -> None:
    error = failure(await bench.ask(COMPRESSORS[Compression.XZ](DISK), **change))
    assert error.reason == ImageReason.SOURCE_REFUSED
    assert words in error.message


@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.ENOSPC, ImageReason.STORE_FULL), (errno.EIO, ImageReason.STORE_FAILED)],
)
async def test_a_disk_that_refuses_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, code: int, reason: ImageReason
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    packed = COMPRESSORS[Compression.XZ](DISK)
    with monkeypatch.context() as patch:
        patch.setattr("innkeeper.images.unpacking.partial.os.pwrite", refuse)
        error = failure(await bench.ask(packed))
    assert (error.reason, error.retryable) == (reason, True)
    assert os.strerror(code) in error.message
    assert (bench.kept, bench.store.used) == ([], 0)
    bench.clock.advance(21)
    assert isinstance(await bench.ask(packed), Ready)


async def test_an_image_larger_than_the_store_is_refused_for_good(bench: Bench) -> None:
    content = raw_disk(MIB) + random.Random(2).randbytes(20 * MIB)  # noqa: S311 - no secret
    error = failure(await bench.ask(COMPRESSORS[Compression.ZSTD](content), "Zstd"))
    assert (error.reason, error.retryable) == (ImageReason.TOO_LARGE, False)
    assert "--max-store-bytes" in error.message
    assert (bench.kept, bench.store.used) == ([], 0)


async def test_an_image_server_that_ends_in_the_middle_leaves_nothing(bench: Bench) -> None:
    bench.source.content = packed = COMPRESSORS[Compression.ZSTD](DISK)
    bench.source.stuck_at = len(packed) // 2
    bench.inspector.look(question(packed, "Zstd"))
    await eventually(lambda: bench.store.used > 0)
    assert len(bench.kept) == 1
    await bench.inspector.close()
    assert (bench.kept, bench.store.used) == ([], 0)


async def test_two_images_of_one_content_share_its_file(bench: Bench) -> None:
    for kind, compress in COMPRESSORS.items():
        assert isinstance(await bench.ask(compress(DISK), kind, name=kind.tool), Ready)
    assert bench.kept == [hashlib.sha256(DISK).hexdigest()]
    assert bench.store.used < 2 * len(NOISE)
