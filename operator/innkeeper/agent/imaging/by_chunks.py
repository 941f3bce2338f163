"""An image by its manifest: chunks of zeros are not fetched, and each other one is checked before it is kept.

A chunk that is wrong is fetched again a few times. What is on the disk is therefore right wherever an attempt ended. The
digest of the whole is checked all the same: this never decides that an image is good.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus

import aiohttp
import structlog

from innkeeper.agent.build.ports import Progress
from innkeeper.agent.imaging.partial import DownloadFailedError, PartialImage, on_disk
from innkeeper.domain.images.manifest import Chunks

log = structlog.get_logger()

TRIES = 3  # of one chunk
RUN_CHUNKS = 256  # at most in one request: a wrong one costs no more than is read ahead of it


class WrongChunkError(DownloadFailedError):
    """A chunk is not what the manifest says."""


async def fetch_chunks(
    session: aiohttp.ClientSession, url: str, partial: PartialImage, chunks: Chunks, progress: Progress
) -> None:
    """Bring what is missing of an image, in order.

    Raises:
        WrongChunkError: a chunk stayed wrong.
        DownloadFailedError: the server refuses, breaks off, or sends another range.
    """
    await on_disk(partial.cut_to, partial.have - partial.have % chunks.chunk_bytes)
    for first, behind in chunks.runs(partial.have // chunks.chunk_bytes):
        await on_disk(partial.append_zeros, chunks.span(first)[0] - partial.have)
        for start in range(first, behind, RUN_CHUNKS):
            await _run(session, url, partial, chunks, (start, min(start + RUN_CHUNKS, behind)), progress)
    await on_disk(partial.append_zeros, chunks.size - partial.have)
    progress(partial.have, partial.size)


async def _run(
    session: aiohttp.ClientSession,
    url: str,
    partial: PartialImage,
    chunks: Chunks,
    run: tuple[int, int],
    progress: Progress,
) -> None:
    index, behind = run
    tries = 0
    while index < behind:
        before = index
        async with (
            _range(session, url, chunks.span(index)[0], chunks.span(behind - 1)[1]) as answer,
            aclosing(_pieces(answer, chunks, index, behind)) as pieces,
        ):
            async for content in pieces:
                if not chunks.matches(index, content):
                    break
                await on_disk(partial.append, content)
                progress(partial.have, partial.size)
                index += 1
        tries = tries + 1 if index == before else 0
        if index < behind:
            log.warning("chunk_wrong", index=index, tries=tries)
            if tries >= TRIES:
                raise WrongChunkError(
                    f"bytes {chunks.span(index)[0]} to {chunks.span(index)[1]} of the image are not those that were "
                    f"inspected, {TRIES} times: did the source change?"
                )


async def _pieces(
    answer: aiohttp.ClientResponse, chunks: Chunks, index: int, behind: int
) -> AsyncGenerator[bytes, None]:
    """Yield whole chunks.

    Raises:
        DownloadFailedError: the answer ends before the last one.
    """
    for each in range(index, behind):
        start, end = chunks.span(each)
        try:
            yield await answer.content.readexactly(end - start)
        except EOFError as error:
            raise DownloadFailedError(f"the image server broke off at byte {start}") from error


@asynccontextmanager
async def _range(
    session: aiohttp.ClientSession, url: str, start: int, end: int
) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = {"Range": f"bytes={start}-{end - 1}"}
    async with session.get(url, headers=headers, allow_redirects=False) as answer:
        place = answer.headers.get("Content-Range", "").partition("/")[0]
        if answer.status != HTTPStatus.PARTIAL_CONTENT or place != f"bytes {start}-{end - 1}":
            raise DownloadFailedError(
                f"the image server answers HTTP {answer.status} {place!r}, and not the range that was asked for"
            )
        yield answer
        answer.close()  # what is behind a wrong chunk is not wanted
