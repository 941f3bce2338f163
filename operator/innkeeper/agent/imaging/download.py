"""One image from the image server to a file: resumed where it broke off, capped, and checked as it comes.

The agent shows its own token and gets a short-lived URL for the bytes. The file takes its final name only when size and
digest are right, so a file under that name is always whole.
"""

import asyncio
import hashlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog

from innkeeper.agent.build.ports import Progress, TokenSource
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError, TerminalError

log = structlog.get_logger()

CHUNK_BYTES = 1024 * 1024
SILENCE_S = 30.0
ANSWER_BYTES = 64 * 1024


class DownloadFailedError(InnkeeperError):
    """The bytes did not come; trying again may help."""

    reason = GuestReason.IMAGE_DOWNLOAD_FAILED


class DigestMismatchError(TerminalError):
    """The bytes are not those that the order names."""

    reason = GuestReason.IMAGE_DIGEST_MISMATCH


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
        partial = target.with_suffix(".partial")
        have, digest = await asyncio.to_thread(_resume, partial, image.size)
        if have < image.size:
            async with self._session() as session:
                url = await self._url(session, image, guest_id)
                await self._stream(session, url, image, partial, have, digest, progress)
        found = f"sha256:{digest.hexdigest()}"
        if found != image.digest:
            await asyncio.to_thread(partial.unlink, missing_ok=True)
            raise DigestMismatchError(
                f"the image's bytes have the digest {found}, the order says {image.digest}: the source changed"
            )
        await asyncio.to_thread(_finish, partial, target)

    async def _url(self, session: aiohttp.ClientSession, image: OrderImage, guest_id: str) -> str:
        """Ask for a short-lived URL."""
        origin = urlsplit(image.url)
        async with _failures(f"the image server {origin.netloc}"):
            answer = await session.post(
                f"{origin.scheme}://{origin.netloc}/v1/urls",
                json={"guestId": guest_id},
                headers={"Authorization": f"Bearer {self._token() or ''}"},
                allow_redirects=False,
            )
            async with answer:
                body = await answer.content.read(ANSWER_BYTES)
                if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
                    words = body.decode(errors="replace")[:200]
                    raise DownloadFailedError(f"the image server gives no URL: HTTP {answer.status}: {words}")
                return str(json.loads(body)["url"])

    async def _stream(
        self,
        session: aiohttp.ClientSession,
        url: str,
        image: OrderImage,
        partial: Path,
        have: int,
        digest: Any,
        progress: Progress,
    ) -> None:
        headers = {"Range": f"bytes={have}-"} if have else {}
        async with (
            _failures("the image server"),
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status != (206 if have else 200):
                raise DownloadFailedError(f"the image server answers HTTP {answer.status} instead of bytes")
            with await asyncio.to_thread(partial.open, "ab") as file:
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    have += len(chunk)
                    if have > image.size:
                        raise DownloadFailedError(
                            f"the image server sends more than the {image.size} bytes of the image"
                        )
                    await asyncio.to_thread(_append, file, digest, chunk)
                    progress(have, image.size)
        if have < image.size:
            raise DownloadFailedError(f"the image server broke off after {have} of {image.size} bytes")

    def _session(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S),
            auto_decompress=False,
        )


@asynccontextmanager
async def _failures(who: str) -> AsyncIterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
        raise DownloadFailedError(f"{who} does not answer: {error or type(error).__name__}") from error


def _resume(partial: Path, size: int) -> tuple[int, Any]:
    """Return how many bytes are here from a former attempt, and the digest of them."""
    digest = hashlib.sha256()
    have = 0
    partial.parent.mkdir(parents=True, exist_ok=True)
    if not partial.exists():
        return 0, digest
    with partial.open("r+b") as file:
        if os.fstat(file.fileno()).st_size > size:
            file.truncate(0)
            return 0, digest
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            have += len(chunk)
    return have, digest


def _append(file: Any, digest: Any, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)


def _finish(partial: Path, target: Path) -> None:
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.chmod(0o644)  # QEMU runs as another user, and reads it only
    partial.replace(target)
