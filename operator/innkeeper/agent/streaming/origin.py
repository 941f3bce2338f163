"""Where the chunks of one image come from: the image server, asked in the name of any guest here that uses the image.

A URL is asked for when the last one is refused. What comes is not checked here, but for its place and its length.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Protocol

import aiohttp
from yarl import URL

from innkeeper.agent.build.ports import TokenSource
from innkeeper.agent.imaging import image_server
from innkeeper.agent.imaging.image_server import ImageServerSession, UrlAnswer
from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.domain.images import manifest, profile
from innkeeper.domain.images.manifest import Chunks
from innkeeper.domain.orders import OrderImage

_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Origin(Protocol):
    """What a supply fetches from."""

    def fetch(self, chunks: Chunks, first: int, behind: int) -> AsyncGenerator[bytes, None]:
        """Yield a run of chunks in order, unchecked.

        Raises:
            DownloadFailedError: while iterating; trying again may help.
        """
        ...


class ImageServerOrigin:
    """The image server."""

    def __init__(
        self,
        session: ImageServerSession,
        image: OrderImage,
        *,
        token: TokenSource,
        guests: Callable[[], Iterable[str]],
    ) -> None:
        self._session = session
        self._image = image
        self._token = token
        self._guests = guests
        self._given: UrlAnswer | None = None

    async def manifest(self) -> bytes | None:
        """Return the manifest, unchecked."""
        given = await self._urls()
        if given.manifest_url is None:
            return None
        url = URL(given.manifest_url, encoded=True).update_query(manifest=self._image.manifest_digest or "")
        return await image_server.document(self._session, str(url), most=manifest.MAX_BYTES)

    async def profile(self) -> Sequence[int]:
        """Return what guests read first, or nothing where nobody knows."""
        given = await self._urls()
        if given.profile_url is None:
            return ()
        encoded = await image_server.document(self._session, given.profile_url, most=profile.MAX_BYTES)
        return () if encoded is None else profile.read(encoded)

    async def keep_profile(self, order: Sequence[int]) -> None:
        """Tell what guests here read first."""
        given = await self._urls(fresh=True)
        if given.profile_url is None:
            return
        async with (
            image_server.failures("the image server"),
            self._session.ask("PUT", given.profile_url, body=profile.encode(order)) as answer,
        ):
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise DownloadFailedError(f"the image server takes no boot profile: HTTP {answer.status}")

    async def fetch(self, chunks: Chunks, first: int, behind: int) -> AsyncGenerator[bytes, None]:
        """Yield a run of chunks."""
        start, end = chunks.span(first)[0], chunks.span(behind - 1)[1]
        for is_last in (False, True):
            given = await self._urls(fresh=is_last)
            async with (
                image_server.failures("the image server"),
                self._session.ask("GET", given.url, headers={"Range": f"bytes={start}-{end - 1}"}) as answer,
            ):
                if answer.status in _REFUSED and not is_last:
                    continue  # the URL's time is over
                place = answer.headers.get("Content-Range", "").partition("/")[0]
                if answer.status != HTTPStatus.PARTIAL_CONTENT or place != f"bytes {start}-{end - 1}":
                    raise DownloadFailedError(
                        f"the image server answers HTTP {answer.status} {place!r}, and not the range that was asked for"
                    )
                for index in range(first, behind):
                    yield await _chunk(answer, chunks, index)
            return

    async def _urls(self, *, fresh: bool = False) -> UrlAnswer:
        if self._given is None or fresh:
            self._given = await self._ask()
        return self._given

    async def _ask(self) -> UrlAnswer:
        failure = DownloadFailedError("no guest here uses the image any more")
        for guest_id in self._guests():
            try:
                return await image_server.urls(self._session, self._image, guest_id, self._token)
            except DownloadFailedError as error:
                failure = error
        raise failure


async def _chunk(answer: aiohttp.ClientResponse, chunks: Chunks, index: int) -> bytes:
    start, end = chunks.span(index)
    try:
        return await answer.content.readexactly(end - start)
    except EOFError as error:
        raise DownloadFailedError(f"the image server broke off at byte {start}") from error
