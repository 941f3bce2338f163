"""The fake API server without sockets: the real client's calls go to the same routes, in memory.

Every answer takes a random moment, so that what runs at once interleaves in many ways; with one seed always in the same.
A client can be cut off alone, as a host whose network fails is.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from innkeeper.kube.client import Client
from innkeeper.kube.connection import LostConnectionError, NoAnswerError
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import UnavailableError
from innkeeper.kube.transport import Call
from tests.kit.fake_api import FakeApi
from tests.kit.fake_api_routes import Routes

SLOWEST_ANSWER_S = 0.02
_END = None


class MemoryApi(FakeApi):
    """An API server that is up or down, and listens on no port."""

    def __init__(self, random: Random, **settings: Any) -> None:
        super().__init__(**settings)
        self.is_up = False
        self.random = random
        self.routes = Routes(self, open_stream=_MemoryStream.begin)

    async def up(self) -> None:
        """Answer calls."""
        self.is_up = True

    async def down(self) -> None:
        """Refuse connections, end watches, forget history."""
        self.is_up = False
        self.faults.drop_watch()
        self.store.forget_history()

    def client(self, user: str) -> "MemoryClient":
        """Return a client of a user."""
        return MemoryClient(self, self.credentials(user))


class MemoryClient(Client):
    """The real client over a transport in memory."""

    def __init__(self, api: MemoryApi, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._memory = _MemoryTransport(api)

    def cut_off(self, *, is_cut: bool) -> None:
        """Let no call of this client through, or let them through again; open watches end."""
        self._memory.is_cut = is_cut
        if is_cut:
            self._memory.end_streams()

    def _connected(self) -> Any:
        return self._memory


class _MemoryTransport:
    """What the client needs of `Transport`."""

    def __init__(self, api: MemoryApi) -> None:
        self.is_cut = False
        self._api = api
        self._streams: dict[_MemoryStream, None] = {}  # in the order of their begin

    def end_streams(self) -> None:
        for stream in tuple(self._streams):
            stream.abort()

    async def whole(self, call: Call, *, most: int) -> tuple["_Answer", bytes | None]:
        async with self.streamed(call) as answer:
            return answer, await answer.body(most=most)

    @asynccontextmanager
    async def streamed(self, call: Call) -> AsyncIterator["_Answer"]:
        request = _Request(call)
        work = asyncio.ensure_future(self._answer(request))
        try:
            await asyncio.wait({work, request.opened}, return_when=asyncio.FIRST_COMPLETED)
            if request.opened.done():
                self._streams[request.opened.result()] = None
                yield _Answer(200, {}, request.opened.result())
            else:
                yield work.result()
        finally:
            if request.opened.done():
                self._streams.pop(request.opened.result(), None)
            work.cancel()
            with suppress(asyncio.CancelledError, UnavailableError):
                await work

    async def _answer(self, request: "_Request") -> "_Answer":
        await self._travel(request)
        answer = await self._api.routes.handle(request)  # type: ignore[arg-type] # as much of one as the routes read
        if request.opened.done():
            return _Answer(200, {}, request.opened.result())
        await self._travel(request)
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return _Answer(answer.status, headers, _MemoryStream(answer.body, b""))

    async def _travel(self, request: "_Request") -> None:
        seconds = self._api.random.uniform(0, SLOWEST_ANSWER_S)
        await asyncio.sleep(seconds)  # the way over the wire, in virtual time: no real time passes
        if self.is_cut or not self._api.is_up:
            raise NoAnswerError("connection refused")
        if request.is_aborted:
            raise NoAnswerError("the connection was closed")

    async def close(self) -> None:
        self.end_streams()


class _Request:
    """What the routes need of `web.Request`."""

    def __init__(self, call: Call) -> None:
        path, _, query = call.target.partition("?")
        self.method = call.method
        self.headers = CIMultiDict(call.headers)
        self.query = dict(parse_qsl(query))
        self.can_read_body = bool(call.body)
        self.content_type = self.headers.get("Content-Type", "")
        self.is_aborted = False
        self.opened: asyncio.Future[_MemoryStream] = asyncio.get_running_loop().create_future()
        self.match_info = _matched(path)
        self._data = call.body

    @property
    def transport(self) -> "_Request":
        return self

    def abort(self) -> None:
        """Cut the connection."""
        self.is_aborted = True
        if self.opened.done():
            self.opened.result().abort()

    async def json(self) -> Any:
        return msgspec.json.decode(self._data)


class _MemoryStream:
    """A body: what the routes write, the client reads."""

    status = 200

    def __init__(self, *chunks: bytes) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        for chunk in chunks:
            self._chunks.put_nowait(chunk)

    @classmethod
    async def begin(cls, request: Any) -> Any:
        stream = cls()
        request.opened.set_result(stream)
        return stream

    async def write(self, chunk: bytes) -> None:
        self._chunks.put_nowait(chunk)

    async def write_eof(self) -> None:
        self._chunks.put_nowait(b"")

    def abort(self) -> None:
        self._chunks.put_nowait(_END)

    async def chunk(self) -> bytes:
        chunk = await self._chunks.get()
        if chunk is _END:
            raise LostConnectionError("the connection was cut")
        return chunk


class _Answer:
    """What the client needs of `Answer`."""

    def __init__(self, status: int, headers: Mapping[str, str], content: _MemoryStream) -> None:
        self.status = status
        self.headers = headers
        self.chunk = content.chunk

    async def body(self, *, most: int) -> bytes | None:
        found = b""
        while chunk := await self.chunk():
            found += chunk
        return found if len(found) <= most else None


def _matched(path: str) -> dict[str, str]:
    """Return what the routes' patterns take from a path."""
    root, *parts = path.strip("/").split("/")
    if root == "api":
        return {"version": parts[0], "rest": "/".join(parts[1:])}
    return {"group": parts[0], "version": parts[1], "rest": "/".join(parts[2:])}
