"""An image server as agents see it, which breaks off, lies or refuses when a test says so."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from innkeeper.domain.images import packing


@dataclass
class UrlServer:
    """Gives a URL for the image of any guest. `asked` holds who asked, `ranges` what was asked for."""

    content: bytes
    ranges_work: bool = True
    packs: bool = True  # chunks, for who wants them so
    packs_badly: bool = False
    knows_packed: bool = True  # else the URL leads to a replica of an earlier version
    cut_after: int | None = None  # bytes of one answer, then the connection breaks; holds once
    hold_after: int | None = None  # bytes of each answer, whose rest waits for `may_go_on`
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    urls_status: int = 200
    may_answer: asyncio.Event | None = None  # for which each answer with URLs waits
    blob_status: int | None = None
    endless: bool = False
    manifest: bytes | None = None  # what it says of the chunks
    spoil: dict[int, int] = field(default_factory=dict)  # offset -> how often the byte there is sent wrong
    profile: bytes | None = None  # what it says of boots
    learnt: list[bytes] = field(default_factory=list)  # what it was told of boots
    asked: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    packed_asked: int = 0

    def server(self) -> TestServer:
        """Return the server, not yet started."""
        return TestServer(self.application())

    def application(self) -> web.Application:
        """Return what it serves."""
        application = web.Application()
        application.router.add_post("/v1/urls", self._urls)
        application.router.add_get("/blob", self._blob)
        application.router.add_get("/packed", self._packed)
        application.router.add_get("/manifest", self._manifest)
        application.router.add_get("/profile", self._profile)
        application.router.add_put("/profile", self._learn)
        return application

    async def _urls(self, request: web.Request) -> web.Response:
        guest_id = (await request.json())["guestId"]
        self.asked.append((request.headers["Authorization"], guest_id))
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.urls_status != 200:
            return web.json_response({"message": "not for you"}, status=self.urls_status)
        answer = {"url": f"{request.url.origin()}/blob", "expiresAt": "2099-01-01T00:00:00Z"}
        if self.packs:
            answer["packedUrl"] = f"{request.url.origin()}/packed?signature=ours"
        if self.manifest is not None:
            answer["manifestUrl"] = f"{request.url.origin()}/manifest"
            answer["profileUrl"] = f"{request.url.origin()}/profile"
        return web.json_response(answer)

    async def _profile(self, request: web.Request) -> web.Response:
        del request
        return web.Response(status=404) if self.profile is None else web.Response(body=self.profile)

    async def _learn(self, request: web.Request) -> web.Response:
        self.learnt.append(await request.read())
        return web.Response(status=204)

    async def _manifest(self, request: web.Request) -> web.Response:
        del request
        return web.Response(body=self.manifest)

    def _spoilt(self, start: int, body: bytes) -> bytes:
        for offset, times in list(self.spoil.items()):
            if times and start <= offset < start + len(body):
                self.spoil[offset] -= 1
                at = offset - start
                body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        return body

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(request.headers.get("Range"))
        if self.blob_status is not None:
            return web.Response(status=self.blob_status)
        asked = request.http_range if self.ranges_work else slice(None)
        start = asked.start or 0
        body = self._spoilt(start, self.content[asked])
        response = web.StreamResponse(status=206 if asked.start is not None else 200)
        if asked.start is not None:
            place = f"bytes {start}-{start + len(body) - 1}/{len(self.content)}"
            response.headers["Content-Range"] = place
        return await self._send(request, response, body)

    async def _packed(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(f"bytes={request.query['bytes']}")
        self.packed_asked += 1
        if not self.knows_packed:
            return web.Response(status=404)
        if self.blob_status is not None or request.query["signature"] != "ours":
            return web.Response(status=self.blob_status or 403)
        start, last = map(int, request.query["bytes"].split("-"))
        packer, content = packing.Packer(), self._spoilt(start, self.content[start : last + 1])
        body = b"no frame" if self.packs_badly else packer.pack(content) + packer.end()
        response = web.StreamResponse(headers={"Content-Type": packing.MEDIA_TYPE})
        return await self._send(request, response, body)

    async def _send(
        self, request: web.Request, response: web.StreamResponse, body: bytes
    ) -> web.StreamResponse:
        if not self.endless:
            response.content_length = len(body)
        await response.prepare(request)
        if self.cut_after is not None:
            await response.write(body[: self.cut_after])
            self.cut_after = None
            assert request.transport is not None
            request.transport.close()
            return response
        at = len(body) if self.hold_after is None else self.hold_after
        await response.write(body[:at])
        if body[at:]:
            await self.may_go_on.wait()
            await response.write(body[at:])
        if self.endless:
            await response.write(b"and more" * 100)
        return response
