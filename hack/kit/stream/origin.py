"""An image server with limits of its own: so many bytes a second for all answers together, so much delay for each.

It speaks what hosts ask of `innkeeper images`, gives one image to anybody, and counts what it sends.

Usage: python -m kit.stream.origin SPEC, where SPEC is a JSON file; it prints its port and serves until it is ended.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from aiohttp import web

from innkeeper.domain.images import packing
from innkeeper.images import ranges
from innkeeper.images.packing import Packing
from innkeeper.images.sources.source import CHUNK_BYTES

PIECE = 32 * 1024  # small against what a slow link takes in a hundredth of a second


class Spec(msgspec.Struct, frozen=True):
    """What is served, and how fast."""

    image: str
    manifest: str
    packed: str  # the same image as qcow2, compressed, for who imports it
    mbit_s: float  # 0: no limit
    delay_ms: float


class Link:
    """A link that all answers share."""

    def __init__(self, mbit_s: float) -> None:
        self._bytes_per_s = mbit_s * 1e6 / 8
        self._free_at = time.monotonic()
        self.sent = 0

    async def carry(self, count: int) -> None:
        """Wait until the link has carried so many bytes more."""
        self.sent += count
        if self._bytes_per_s:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self._bytes_per_s
            await asyncio.sleep(self._free_at - now)


class Origin:
    """The endpoints."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._image = os.open(spec.image, os.O_RDONLY)
        self._packed_image = os.open(spec.packed, os.O_RDONLY)
        self._link = Link(spec.mbit_s)
        self._packing = Packing()
        self._unpacked = 0  # bytes of the image that were sent, as they are before they are packed
        self._profile: bytes | None = None
        self._size = Path(spec.image).stat().st_size
        self._encoded_manifest = Path(spec.manifest).read_bytes()

    def application(self) -> web.Application:
        """Return the application."""
        made = web.Application(client_max_size=1024**2)
        made.router.add_post("/v1/urls", self._urls)
        made.router.add_get("/blob", self._blob)
        made.router.add_get("/chunks", self._chunks)
        made.router.add_get("/packed", self._packed)
        made.router.add_get("/manifest", self._manifest)
        made.router.add_get("/profile", self._get_profile)
        made.router.add_put("/profile", self._put_profile)
        made.router.add_get("/sent", self._sent)
        return made

    async def _urls(self, request: web.Request) -> web.Response:
        base = request.url.origin()
        urls = {
            "url": f"{base}/blob",
            "packedUrl": f"{base}/chunks",
            "manifestUrl": f"{base}/manifest",
            "profileUrl": f"{base}/profile",
        }
        return web.json_response({**urls, "expiresAt": "2099-01-01T00:00:00Z"})

    async def _manifest(self, _request: web.Request) -> web.Response:
        await asyncio.sleep(self._spec.delay_ms / 1000)
        await self._link.carry(len(self._encoded_manifest))
        return web.Response(body=self._encoded_manifest)

    async def _get_profile(self, _request: web.Request) -> web.Response:
        await asyncio.sleep(self._spec.delay_ms / 1000)
        return web.Response(status=404) if self._profile is None else web.Response(body=self._profile)

    async def _put_profile(self, request: web.Request) -> web.Response:
        self._profile = await request.read()
        return web.Response(status=204)

    async def _sent(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"sent": self._link.sent, "unpacked": self._unpacked, "profile": self._profile is not None}
        )

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        part = ranges.wanted(request.headers.get("Range"), size=self._size) or ranges.ByteRange(0, self._size)
        self._unpacked += part.end - part.start
        response = web.StreamResponse(status=206)
        response.headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{self._size}"
        return await self._send(request, response, _read(self._image, part))

    async def _chunks(self, request: web.Request) -> web.StreamResponse:
        part = ranges.wanted(f"bytes={request.query['bytes']}", size=self._size)
        assert part is not None  # noqa: S101 - hosts ask for parts
        self._unpacked += part.end - part.start
        response = web.StreamResponse(headers={"Content-Type": packing.MEDIA_TYPE})
        return await self._send(request, response, self._packing.frame(_read(self._image, part)))

    async def _packed(self, request: web.Request) -> web.StreamResponse:
        whole = ranges.ByteRange(0, os.fstat(self._packed_image).st_size)
        return await self._send(request, web.StreamResponse(), _read(self._packed_image, whole))

    async def _send(
        self, request: web.Request, response: web.StreamResponse, content: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        await asyncio.sleep(self._spec.delay_ms / 1000)
        with contextlib.suppress(ConnectionResetError):  # a reader may be ended
            await response.prepare(request)
            async for given in content:
                for start in range(0, len(given), PIECE):
                    piece = given[start : start + PIECE]
                    await self._link.carry(len(piece))
                    await response.write(piece)
            await response.write_eof()
        return response


async def _read(image: int, part: ranges.ByteRange) -> AsyncIterator[bytes]:
    """Yield bytes as the sources of an image server do."""
    for start in range(part.start, part.end, CHUNK_BYTES):
        yield os.pread(image, min(CHUNK_BYTES, part.end - start), start)


async def main(spec: Spec) -> None:
    """Serve until this process is ended."""
    runner = web.AppRunner(Origin(spec).application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec)))
