"""Where the chunks of one image come from: the image server, asked in the name of any guest here that uses the image.

A URL is asked for when the last one is refused. Chunks come packed where the server offers it. What comes is not checked
here, but for its place and its length.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Protocol

import aiohttp
from yarl import URL

from innkeeper.agent.build.ports import TokenSource
from innkeeper.agent.imaging import image_server
from innkeeper.agent.imaging.image_server import ImageServerSession, UrlAnswer
from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.domain.images import manifest, packing, profile
from innkeeper.domain.images.manifest import Chunks
from innkeeper.domain.orders import OrderImage

# The URL's time is over, or a replica of an earlier version does not know it.
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
_END_BYTES = 64  # behind the last chunk: the end of a frame


class Body(Protocol):
    """What an answer holds."""

    async def readexactly(self, count: int, /) -> bytes:
        """Return the next bytes.

        Raises:
            EOFError: there are no more.
        """
        ...


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
        self._takes_packed = True  # until what comes so cannot be used, for as long as this stream lives

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
            packed_url = given.packed_url if self._takes_packed and not is_last else None
            async with (
                image_server.failures("the image server"),
                self._part(packed_url or given.url, start, end, packed=packed_url is not None) as answer,
            ):
                if answer.status in _REFUSED and not is_last:
                    self._takes_packed &= answer.status != HTTPStatus.NOT_FOUND
                    continue
                body = _body(answer, start, end)
                for index in range(first, behind):
                    try:
                        content = await _chunk(body, chunks, index)
                    except packing.PackingError:
                        self._takes_packed = False
                        raise
                    yield content
                await image_server.capped(answer, most=_END_BYTES)
            return

    def _part(
        self, url: str, start: int, end: int, *, packed: bool
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Ask for bytes from `start` up to, not including, `end`."""
        if not packed:
            return self._session.ask("GET", url, headers={"Range": f"bytes={start}-{end - 1}"})
        return self._session.ask("GET", str(URL(url, encoded=True).update_query(bytes=f"{start}-{end - 1}")))

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


class PackedBody:
    """What an answer holds that came packed."""

    def __init__(self, content: aiohttp.StreamReader, *, size: int) -> None:
        self._content = content
        self._unpacker = packing.Unpacker(size)

    async def readexactly(self, count: int, /) -> bytes:
        """Return the next bytes.

        Raises:
            EOFError: there are no more.
            PackingError: they are not packed as they should be.
        """
        found = bytearray()
        while len(found) < count:
            given = b""
            if self._unpacker.is_hungry:
                given = await self._content.readany()
                if not given:
                    raise EOFError
            found += self._unpacker.unpack(given, most=count - len(found))
        return bytes(found)


def _body(answer: aiohttp.ClientResponse, start: int, end: int) -> Body:
    """Return what was asked for, to be read.

    Raises:
        DownloadFailedError: the answer holds something else.
    """
    if answer.status == HTTPStatus.OK and answer.content_type == packing.MEDIA_TYPE:
        return PackedBody(answer.content, size=end - start)
    place = answer.headers.get("Content-Range", "").partition("/")[0]
    if answer.status == HTTPStatus.PARTIAL_CONTENT and place == f"bytes {start}-{end - 1}":
        return answer.content
    raise DownloadFailedError(
        f"the image server answers HTTP {answer.status} {place!r}, and not the range that was asked for"
    )


async def _chunk(body: Body, chunks: Chunks, index: int) -> bytes:
    start, end = chunks.span(index)
    try:
        return await body.readexactly(end - start)
    except EOFError as error:
        raise DownloadFailedError(f"the image server broke off at byte {start}") from error
