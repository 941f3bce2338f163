"""One image from the image server to a file: resumed where it broke off, capped, and checked as it comes.

The agent shows its own token and gets a short-lived URL for the bytes. The file takes its final name only when size and
digest are right, so a file under that name is always whole.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog

from innkeeper.agent.build.ports import Progress, TokenSource
from innkeeper.agent.imaging.by_chunks import fetch_chunks
from innkeeper.agent.imaging.partial import CHUNK_BYTES, DownloadFailedError, PartialImage, on_disk
from innkeeper.domain.images import manifest
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.manifest import Chunks
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import TerminalError

log = structlog.get_logger()

SILENCE_S = 30.0
ANSWER_BYTES = 64 * 1024


class DigestMismatchError(TerminalError):
    """The bytes are not those that the order names."""

    reason = GuestReason.IMAGE_DIGEST_MISMATCH


class UrlAnswer(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What the image server gives: where the bytes are, and the manifest where there is one."""

    url: str
    manifest_url: str | None = None


class Downloader:
    """Fetches images under this agent's identity."""

    def __init__(self, *, token: TokenSource, ca_file: Path | None) -> None:
        self._token = token
        self._ca_file = ca_file

    async def fetch(self, image: OrderImage, guest_id: str, target: Path, progress: Progress) -> None:
        """Bring an image to `target`, which must not be there yet.

        Raises:
            DownloadFailedError: the image server refused, broke off, or was silent for too long.
            DigestMismatchError: all bytes came, and they are others.
        """
        declared = Digest.parse(image.digest)
        path = target.with_suffix(".partial")
        partial = await on_disk(PartialImage, path, image.size, declared=declared)
        try:
            if partial.have < image.size:
                async with self._session() as session:
                    given = await self._url(session, image, guest_id)
                    await self._bytes(session, given, image, partial, progress)
            if mismatch := partial.mismatch:
                await on_disk(partial.drop)
                raise DigestMismatchError(f"{mismatch}: the source changed")
            await on_disk(partial.finish, target)
        finally:
            await asyncio.to_thread(partial.close)

    async def _bytes(
        self,
        session: aiohttp.ClientSession,
        given: UrlAnswer,
        image: OrderImage,
        partial: PartialImage,
        progress: Progress,
    ) -> None:
        """Fetch by chunks where the server has a manifest, else in order."""
        chunks = await self._manifest(session, given, image)
        if chunks is None:
            await self._stream(session, given.url, partial, progress)
            return
        async with _failures("the image server"):
            await fetch_chunks(session, given.url, partial, chunks, progress)

    async def _manifest(
        self, session: aiohttp.ClientSession, given: UrlAnswer, image: OrderImage
    ) -> Chunks | None:
        """Return the manifest; one that is missing or makes no sense is done without."""
        if given.manifest_url is None:
            return None
        try:
            async with session.get(given.manifest_url, allow_redirects=False) as answer:
                if answer.status != HTTPStatus.OK:
                    return None
                encoded = await _capped(answer, most=manifest.MAX_BYTES)
            return manifest.read(encoded, digest=image.digest, size=image.size)
        except (
            aiohttp.ClientError,
            TimeoutError,
            OSError,
            ValueError,
            manifest.ManifestInvalidError,
        ) as error:
            log.warning("manifest_unused", digest=image.digest, error=str(error))
            return None

    async def _url(self, session: aiohttp.ClientSession, image: OrderImage, guest_id: str) -> UrlAnswer:
        """Ask for short-lived URLs."""
        origin = urlsplit(image.url)
        async with _failures(f"the image server {origin.netloc}"):
            answer = await session.post(
                f"{origin.scheme}://{origin.netloc}/v1/urls",
                json={"guestId": guest_id},
                headers={"Authorization": f"Bearer {self._token() or ''}"},
                allow_redirects=False,
            )
            async with answer:
                body = await _capped(answer, most=ANSWER_BYTES)
                if answer.status != HTTPStatus.OK:
                    words = body.decode(errors="replace")[:200]
                    raise DownloadFailedError(f"the image server gives no URL: HTTP {answer.status}: {words}")
                return msgspec.json.decode(body, type=UrlAnswer)

    async def _stream(
        self, session: aiohttp.ClientSession, url: str, partial: PartialImage, progress: Progress
    ) -> None:
        headers = {"Range": f"bytes={partial.have}-"} if partial.have else {}
        async with (
            _failures("the image server"),
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status == HTTPStatus.OK:
                await on_disk(partial.restart)
            elif answer.status != HTTPStatus.PARTIAL_CONTENT or not partial.have:
                raise DownloadFailedError(f"the image server answers HTTP {answer.status} instead of bytes")
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                if partial.have + len(chunk) > partial.size:
                    raise DownloadFailedError(
                        f"the image server sends more than the {partial.size} bytes of the image"
                    )
                await on_disk(partial.append, chunk)
                progress(partial.have, partial.size)
        if partial.have < partial.size:
            raise DownloadFailedError(
                f"the image server broke off after {partial.have} of {partial.size} bytes"
            )

    def _session(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S),
            auto_decompress=False,
        )


async def _capped(answer: aiohttp.ClientResponse, *, most: int) -> bytes:
    """Read an answer that is not longer than `most` bytes."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > most:
            raise ValueError(f"its answer is longer than {most} bytes")
    return bytes(body)


@asynccontextmanager
async def _failures(who: str) -> AsyncIterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
        raise DownloadFailedError(f"{who} does not answer: {error or type(error).__name__}") from error
