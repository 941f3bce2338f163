"""One image from the image server to a file, in order: resumed where it broke off, capped, and checked as it comes.

The agent shows its own token and gets a short-lived URL for the bytes. The file takes its final name only when size and
digest are right, so a file under that name is always whole.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from innkeeper.agent.build.ports import Progress, TokenSource
from innkeeper.agent.imaging import image_server
from innkeeper.agent.imaging.image_server import ImageServerSession
from innkeeper.agent.imaging.partial import CHUNK_BYTES, DownloadFailedError, PartialImage, on_disk
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import TerminalError


class DigestMismatchError(TerminalError):
    """The bytes are not those that the order names."""

    reason = GuestReason.IMAGE_DIGEST_MISMATCH


class Downloader:
    """Fetches images under this agent's identity."""

    def __init__(
        self, *, token: TokenSource, ca_file: Path | None, on_bytes: Callable[[int], None] = lambda _: None
    ) -> None:
        self._token = token
        self._ca_file = ca_file
        self._on_bytes = on_bytes

    async def fetch(self, image: OrderImage, guest_id: str, target: Path, progress: Progress) -> None:
        """Bring an image to `target`; a file that lies there is replaced at once, and only by the right bytes.

        Raises:
            DownloadFailedError: the image server refused, broke off, or was silent for too long.
            DigestMismatchError: all bytes came, and they are others.
        """
        declared = Digest.parse(image.digest)
        path = target.with_suffix(".partial")
        partial = await on_disk(PartialImage, path, image.size, declared=declared)
        try:
            if partial.have < image.size:
                async with ImageServerSession(self._ca_file) as session:
                    given = await image_server.urls(session, image, guest_id, self._token)
                    await self._stream(session, given.url, partial, progress)
            if mismatch := partial.mismatch:
                await on_disk(partial.drop)
                raise DigestMismatchError(f"{mismatch}: the source changed")
            await on_disk(partial.finish, target)
        finally:
            await asyncio.to_thread(partial.close)

    async def _stream(
        self, session: ImageServerSession, url: str, partial: PartialImage, progress: Progress
    ) -> None:
        headers = {"Range": f"bytes={partial.have}-"} if partial.have else {}
        async with (
            image_server.failures("the image server"),
            session.ask("GET", url, headers=headers) as answer,
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
                self._on_bytes(len(chunk))
                progress(partial.have, partial.size)
        if partial.have < partial.size:
            raise DownloadFailedError(
                f"the image server broke off after {partial.have} of {partial.size} bytes"
            )
