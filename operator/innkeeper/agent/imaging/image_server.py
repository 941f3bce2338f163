"""The image server as hosts see it: short-lived URLs for who shows the host's token, and what lies behind them.

Every answer is capped and has a deadline. Redirects are not followed: a URL of the image server leads to it.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from innkeeper.agent.build.ports import TokenSource
from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.domain.orders import OrderImage
from innkeeper.followed_authority import FollowedAuthority

SILENCE_S = 30.0
ANSWER_BYTES = 64 * 1024
WORDS = 400  # characters of a refusal


class UrlAnswer(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Where the image server has the bytes, and where there are such: the bytes packed, a manifest, a boot profile."""

    url: str
    packed_url: str | None = None
    manifest_url: str | None = None
    profile_url: str | None = None


class ErrorAnswer(msgspec.Struct):
    """What the image server says instead."""

    message: str


class ImageServerSession:
    """Connections to the image server, whose authority's file may change meanwhile; open while it is entered."""

    def __init__(self, ca_file: Path | None) -> None:
        """Read the authority.

        Raises:
            OSError: its file cannot be read, or holds no certificate.
        """
        self._authority = FollowedAuthority(ca_file)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S),
            auto_decompress=False,
        )

    async def __aenter__(self) -> Self:
        """Return it, open."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all connections."""
        await self._http.close()

    def ask(
        self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Return a request; what it raises when it is entered, `failures` makes one error of."""
        return self._http.request(
            method, url, data=body, headers=headers, ssl=self._authority.context, allow_redirects=False
        )


async def urls(
    session: ImageServerSession, image: OrderImage, guest_id: str, token: TokenSource
) -> UrlAnswer:
    """Ask for the URLs of a guest's image.

    Raises:
        DownloadFailedError: the server does not answer, or refuses.
    """
    origin = urlsplit(image.url)
    async with failures(f"the image server {origin.netloc}"):
        headers = {"Authorization": f"Bearer {token() or ''}", "Content-Type": "application/json"}
        body = msgspec.json.encode({"guestId": guest_id})
        url = f"{origin.scheme}://{origin.netloc}/v1/urls"
        async with session.ask("POST", url, body=body, headers=headers) as answer:
            if answer.status != HTTPStatus.OK:
                raise DownloadFailedError(f"the image server gives no URL: {await _refusal(answer)}")
            return msgspec.json.decode(await capped(answer, most=ANSWER_BYTES), type=UrlAnswer)


async def document(session: ImageServerSession, url: str, *, most: int) -> bytes | None:
    """Return a document of the image server, or None where it has none.

    Raises:
        DownloadFailedError: the server does not answer, or with more than `most` bytes.
    """
    async with failures("the image server"), session.ask("GET", url) as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise DownloadFailedError(f"the image server answers {await _refusal(answer)}")
        return await capped(answer, most=most)


async def _refusal(answer: aiohttp.ClientResponse) -> str:
    """Return what an answer that is an error says, in the server's own words where it is the image server's."""
    given = await capped(answer, most=ANSWER_BYTES)
    try:
        words = msgspec.json.decode(given, type=ErrorAnswer).message
    except (msgspec.DecodeError, UnicodeError):  # a proxy's, for example
        words = given.decode(errors="replace")
    return f"HTTP {answer.status}: {words[:WORDS]}"


async def capped(answer: aiohttp.ClientResponse, *, most: int) -> bytes:
    """Read an answer that is not longer than `most` bytes.

    Raises:
        ValueError: it is longer.
    """
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > most:
            raise ValueError(f"its answer is longer than {most} bytes")
    return bytes(body)


@asynccontextmanager
async def failures(who: str) -> AsyncIterator[None]:
    """Make one error of all ways in which a server can fail to answer."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
        raise DownloadFailedError(f"{who} does not answer: {str(error) or type(error).__name__}") from error
