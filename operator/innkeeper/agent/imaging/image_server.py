"""The image server as hosts see it: short-lived URLs for who shows the host's token, and what lies behind them.

Every answer is capped and has a deadline. Redirects are not followed: a URL of the image server leads to it.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec

from innkeeper.agent.build.ports import TokenSource
from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.domain.orders import OrderImage

SILENCE_S = 30.0
ANSWER_BYTES = 64 * 1024


class UrlAnswer(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What the image server gives: where the bytes are, and the manifest and the boot profile where there are any."""

    url: str
    manifest_url: str | None = None
    profile_url: str | None = None


def client_session(ca_file: Path | None) -> aiohttp.ClientSession:
    """Return the session for the image server."""
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S),
        auto_decompress=False,
    )


async def urls(
    session: aiohttp.ClientSession, image: OrderImage, guest_id: str, token: TokenSource
) -> UrlAnswer:
    """Ask for the URLs of a guest's image.

    Raises:
        DownloadFailedError: the server does not answer, or refuses.
    """
    origin = urlsplit(image.url)
    async with failures(f"the image server {origin.netloc}"):
        answer = await session.post(
            f"{origin.scheme}://{origin.netloc}/v1/urls",
            json={"guestId": guest_id},
            headers={"Authorization": f"Bearer {token() or ''}"},
            allow_redirects=False,
        )
        async with answer:
            body = await capped(answer, most=ANSWER_BYTES)
            if answer.status != HTTPStatus.OK:
                words = body.decode(errors="replace")[:200]
                raise DownloadFailedError(f"the image server gives no URL: HTTP {answer.status}: {words}")
            return msgspec.json.decode(body, type=UrlAnswer)


async def document(session: aiohttp.ClientSession, url: str, *, most: int) -> bytes | None:
    """Return a document of the image server, or None where it has none.

    Raises:
        DownloadFailedError: the server does not answer, or with more than `most` bytes.
    """
    async with failures("the image server"), session.get(url, allow_redirects=False) as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise DownloadFailedError(f"the image server answers HTTP {answer.status}")
        return await capped(answer, most=most)


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
        raise DownloadFailedError(f"{who} does not answer: {error or type(error).__name__}") from error
