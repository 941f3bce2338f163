"""A web server that plays an origin of images, well behaved or not."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Origin:
    """What the origin serves and how it behaves. `requests` holds the paths that were asked for."""

    content: bytes
    ranges: bool = True
    status: int = 200
    redirect: str | None = None
    moved: dict[str, str] = field(default_factory=dict)  # paths that redirect to others
    others: dict[str, bytes] = field(default_factory=dict)  # what lies at other paths
    authorization: str | None = None  # what it wants to be shown
    etag: str = '"v1"'
    cut_after: int | None = None
    tells_size: bool = True
    compressed: bool = False
    shifted: int = 0  # bytes by which its ranges lie elsewhere than it was asked
    endless: bool = False  # it goes on sending behind the end of what it promised
    silent: bool = False  # it takes every request, and says nothing
    silent_body: bool = False  # it sends the head of an answer only
    drip_s: float | None = None  # it sends one byte, waits for so long, and so on
    pauses_at: int | None = None  # it sends so many bytes, and the others once the test has it go on
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def server(self) -> TestServer:
        """Return the server, not yet started."""
        application = web.Application()
        application.router.add_get("/{tail:.*}", self._answer)
        return TestServer(application)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path_qs)
        self.headers.append(dict(request.headers))
        if self.silent:
            await asyncio.Event().wait()
        if self.authorization not in (None, request.headers.get("Authorization")):
            return web.Response(status=401)
        if target := self.moved.get(request.path) or self.redirect:
            return web.Response(status=302, headers={"Location": target})
        if self.status >= 400:
            return web.Response(status=self.status)
        return await self._content(request)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        whole = request.http_range if self.ranges else slice(None)
        content = self.others.get(request.path, self.content)
        body = content[whole]
        response = web.StreamResponse(headers={"ETag": self.etag})
        if self.compressed:
            response.headers["Content-Encoding"] = "gzip"
        if self.ranges and whole.start is not None:
            response.set_status(206)
            end = whole.start + len(body) - 1
            place = f"{whole.start + self.shifted}-{end + self.shifted}"
            response.headers["Content-Range"] = f"bytes {place}/{len(content)}"
        if self.tells_size and not self.endless:
            response.content_length = len(body)
        await response.prepare(request)
        if self.silent_body:
            await asyncio.Event().wait()
        if self.drip_s is not None:
            for byte in body:
                await response.write(bytes([byte]))
                await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=self.drip_s)
        if self.pauses_at is not None:
            await response.write(body[: self.pauses_at])
            body = body[self.pauses_at :]
            await self.goes_on.wait()
        if self.cut_after is not None and len(body) > self.cut_after:
            await response.write(body[: self.cut_after])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(body)
        while self.endless and request.transport is not None and not request.transport.is_closing():
            await response.write(b"more" * 16384)
        return response
