"""What every kind of source must do: add a kind to `KINDS` and these tests hold it to the protocol."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

import pytest

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.directory import DirectoryFile
from innkeeper.images.sources.http import HttpFile, client_session
from innkeeper.images.sources.mirrored import Mirrored
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.sources.source import CHUNK_BYTES, Source, SourceError
from tests.scenario.images.origin import Origin

CONTENT = bytes(range(256)) * 9000  # a bit over two chunks


@asynccontextmanager
async def directory(content: bytes | None, tmp_path: Path) -> AsyncIterator[Source]:
    if content is not None:
        (tmp_path / "disk.raw").write_bytes(content)
    yield DirectoryFile(tmp_path, "disk.raw")


@asynccontextmanager
async def http(
    content: bytes | None, tmp_path: Path, *, ranges: bool = True, cut_after: int | None = None
) -> AsyncIterator[Source]:
    del tmp_path
    status = 404 if content is None else 200
    origin = Origin(content or b"", ranges=ranges, status=status, cut_after=cut_after)
    policy = OriginPolicy(listed_hosts=["127.0.0.1"])
    async with origin.server() as server, client_session(policy) as session:
        yield HttpFile(session, str(server.make_url("/disk.raw")), policy=policy)


def http_without_ranges(content: bytes | None, tmp_path: Path) -> AbstractAsyncContextManager[Source]:
    return http(content, tmp_path, ranges=False)


@asynccontextmanager
async def mirrored(content: bytes | None, tmp_path: Path) -> AsyncIterator[Source]:
    """The first mirror is down, the second breaks off in the middle, the third has it all."""
    async with (
        http(None, tmp_path) as first,
        http(content, tmp_path, cut_after=100_000) as second,
        http(content, tmp_path) as third,
    ):
        yield Mirrored([first, second, third])


KINDS = [directory, http, http_without_ranges, mirrored]
Kind = Callable[[bytes | None, Path], AbstractAsyncContextManager[Source]]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


async def test_size_and_a_version_that_stays(kind: Kind, tmp_path: Path) -> None:
    async with kind(CONTENT, tmp_path) as source:
        info = await source.stat()
        assert info.size == len(CONTENT)
        assert info.etag
        assert await source.stat() == info


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, len(CONTENT)), (0, 1), (5, 6), (1000, CHUNK_BYTES + 2000), (len(CONTENT) - 7, len(CONTENT))],
)
async def test_any_range_in_chunks(kind: Kind, tmp_path: Path, start: int, end: int) -> None:
    async with kind(CONTENT, tmp_path) as source:
        chunks = [chunk async for chunk in source.read(start, end)]
    assert b"".join(chunks) == CONTENT[start:end]
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)


async def test_a_source_that_is_shorter_than_asked_is_an_error(kind: Kind, tmp_path: Path) -> None:
    async with kind(b"short", tmp_path) as source:
        with pytest.raises(SourceError):
            _ = [chunk async for chunk in source.read(0, 100)]


async def test_a_reader_may_leave_early(kind: Kind, tmp_path: Path) -> None:
    async with kind(CONTENT, tmp_path) as source:
        async with aclosing(source.read(0, len(CONTENT))) as chunks:
            assert CONTENT.startswith(await anext(chunks))
        assert (await source.stat()).size == len(CONTENT)


async def test_what_is_not_there(kind: Kind, tmp_path: Path) -> None:
    async with kind(None, tmp_path) as source:
        with pytest.raises(SourceError) as caught:
            await source.stat()
        assert caught.value.reason == ImageReason.NOT_FOUND
        assert caught.value.retryable


async def test_what_went_wrong_at_each_mirror_is_told_together(tmp_path: Path) -> None:
    async with http(None, tmp_path) as one, http(None, tmp_path) as other:
        with pytest.raises(SourceError) as caught:
            await Mirrored([one, other]).stat()
    assert caught.value.message.count("answers 404") == 2
    assert caught.value.reason == ImageReason.NOT_FOUND
