"""Streams image bytes to who holds a signed URL, as they are or packed.

The URL is the only right that counts here: no token is read. Bytes are passed on as they come; the host
verifies the digest. Slow readers are dropped, a source has a deadline for its first bytes, and the number of streams is
capped, so that one server never holds more than it can carry.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from innkeeper.domain.images.packing import MEDIA_TYPE
from innkeeper.images import ranges
from innkeeper.images.contents import Contents
from innkeeper.images.figures import Figures
from innkeeper.images.packing import Packing
from innkeeper.images.permits import permitted
from innkeeper.images.places import Places
from innkeeper.images.sending import WRITE_TIMEOUT_S, send
from innkeeper.images.signing import BlobName, UrlSigner
from innkeeper.images.sources.source import Source, SourceError, SourceInfo
from innkeeper.images.stats import Stats

MAX_STREAMS = 256
ANSWER_WITHIN_S = 25.0  # hosts leave after 30 s without a byte

_UNKEPT = {"Cache-Control": "private, no-store"}
Coding = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]


@dataclass(frozen=True)
class StreamLimits:
    """How many streams may be open, how long a reader may take nothing, and a source until its first bytes are there."""

    at_once: int = MAX_STREAMS
    write_s: float = WRITE_TIMEOUT_S
    answer_s: float = ANSWER_WITHIN_S


def _as_they_are(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    return pieces


class Blobs:
    """The handlers of `GET /v1/blobs/<namespace>/<name>/<digest>` and `GET /v1/packed/...`."""

    def __init__(
        self,
        *,
        signer: UrlSigner,
        contents: Contents,
        figures: Figures,
        stats: Stats,
        places: Places,
        packing: Packing,
        limits: StreamLimits,
    ) -> None:
        self._signer = signer
        self._contents = contents
        self._figures = figures
        self._stats = stats
        self._places = places
        self._packing = packing
        self._limits = limits

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Check the signature, then stream; a Range header asks for a part."""
        blob = permitted(request, self._signer)
        with self._places.place(blob):
            answer_by = self._answer_by()
            source, info = await self._opened(blob, answer_by)
            try:
                part = ranges.wanted(_range_header(request, info), size=info.size)
            except ranges.UnsatisfiableError:
                return _unsatisfiable(info)
            response = web.StreamResponse(status=206 if part else 200, headers=_headers(info))
            if part:
                response.headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{info.size}"
            part = part or ranges.ByteRange(0, info.size)
            response.content_length = part.end - part.start
            if request.method == "HEAD" or part.end == part.start:
                return response
            return await self._send(request, response, source, part, answer_by=answer_by)

    async def packed(self, request: web.Request) -> web.StreamResponse:
        """Check the signature, then stream the part that `?bytes=0-262143` names, or the whole, as one zstd frame."""
        blob = permitted(request, self._signer)
        with self._places.place(blob):
            answer_by = self._answer_by()
            source, info = await self._opened(blob, answer_by)
            try:
                part = ranges.wanted(f"bytes={request.query.get('bytes', '')}", size=info.size)
            except ranges.UnsatisfiableError:
                return _unsatisfiable(info)
            response = web.StreamResponse(headers=_UNKEPT | {"Content-Type": MEDIA_TYPE})
            if request.method == "HEAD":
                return response
            part = part or ranges.ByteRange(0, info.size)
            coding = self._packing.frame
            return await self._send(request, response, source, part, answer_by=answer_by, coding=coding)

    def _answer_by(self) -> float:
        return asyncio.get_running_loop().time() + self._limits.answer_s

    async def _opened(self, blob: BlobName, answer_by: float) -> tuple[Source, SourceInfo]:
        async with self._until(answer_by):
            source = await self._contents.open(blob)
            return source, await self._stats.of(blob, source)

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        source: Source,
        part: ranges.ByteRange,
        *,
        answer_by: float,
        coding: Coding = _as_they_are,
    ) -> web.StreamResponse:
        async with aclosing(source.read(part.start, part.end)) as chunks:
            coded = coding(chunks)
            # The first piece before the status line: a source that fails at once still gets a proper answer.
            async with self._until(answer_by):
                first = await anext(coded, b"")
            counter = self._figures.sent_bytes.labels(source=source.kind)
            await send(request, response, first, coded, write_s=self._limits.write_s, sent=counter.inc)
        return response

    @asynccontextmanager
    async def _until(self, end: float) -> AsyncIterator[None]:
        """Give a source until `end`, in the time of the loop."""
        try:
            async with asyncio.timeout_at(end):
                yield
        except TimeoutError as error:
            raise SourceError(
                f"the source gave no byte within {self._limits.answer_s:g} s; use a faster origin"
            ) from error


def _range_header(request: web.Request, info: SourceInfo) -> str | None:
    """Return the Range header, unless `If-Range` names another version than there is now.

    Nor does a copy that broke off go on where the source knows no ranges: it is given the whole, and begins anew.
    """
    header, condition = request.headers.get("Range"), request.headers.get("If-Range")
    if condition is not None and condition != _etag(info):
        return None
    # All that lies before the rest would have to come within the deadline for the first byte, and at no try would it.
    if not info.has_ranges and ranges.is_the_rest(header):
        return None
    return header


def _unsatisfiable(info: SourceInfo) -> web.Response:
    return web.Response(status=416, headers={"Content-Range": f"bytes */{info.size}"})


def _headers(info: SourceInfo) -> dict[str, str]:
    headers = _UNKEPT | {"Content-Type": "application/octet-stream"}
    if info.has_ranges:
        headers |= {"Accept-Ranges": "bytes"}
    return headers | {"ETag": _etag(info)} if info.etag else headers


def _etag(info: SourceInfo) -> str:
    """Return a strong ETag of our own form, whatever the origin's looks like."""
    plain = "".join(c for c in info.etag if c.isascii() and (c.isalnum() or c in "-_."))
    return f'"{plain}"'
