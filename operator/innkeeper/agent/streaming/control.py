"""How the agent speaks to the streaming process: HTTP on a Unix socket that only root may enter.

PUT    /v1/images                          serve an image to a guest; answers when it can be read
DELETE /v1/images/<name>/guests/<guest>    the guest needs the stream no more
GET    /v1/images?after=<number>           how all images stand, once that is news
GET    /v1/version                         of which version this process is
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog
from aiohttp import web

from innkeeper import __version__
from innkeeper.agent.streaming.messages import Failure, Serve, Statuses, Version
from innkeeper.agent.streaming.nbd.export import ReadFailedError
from innkeeper.agent.streaming.streams import Streams
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError

log = structlog.get_logger(__name__)

NEWS_S = 20.0  # the longest that a question for news waits
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class News:
    """Counts what changes, and wakes who waits for it."""

    def __init__(self) -> None:
        self.number = 1
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Something changed."""
        self.number += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, number: int) -> None:
        """Wait until something changed after `number`, or for `NEWS_S`."""
        if number != self.number:
            return
        changed = self._changed
        with suppress(TimeoutError):
            async with asyncio.timeout(NEWS_S):
                await changed.wait()


class Control:
    """The endpoints."""

    def __init__(self, streams: Streams, news: News) -> None:
        self._streams = streams
        self._news = news

    async def listen(self, path: Path) -> web.AppRunner:
        """Listen on a socket; whoever gets the runner cleans it up."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        application = web.Application(middlewares=[_answer_errors])
        application.router.add_put("/v1/images", self._serve)
        application.router.add_delete("/v1/images/{name}/guests/{guest}", self._leave)
        application.router.add_get("/v1/images", self._statuses)
        application.router.add_get("/v1/version", self._version)
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        await asyncio.to_thread(path.chmod, 0o600)
        return runner

    async def _serve(self, request: web.Request) -> web.Response:
        wanted = msgspec.json.decode(await request.read(), type=Serve)
        return _json(await self._streams.serve(wanted))

    async def _leave(self, request: web.Request) -> web.Response:
        await self._streams.leave(request.match_info["name"], request.match_info["guest"])
        return _json({})

    async def _statuses(self, request: web.Request) -> web.Response:
        await self._news.after(int(request.query.get("after", "0")))
        return _json(Statuses(number=self._news.number, images=tuple(self._streams.statuses())))

    async def _version(self, _request: web.Request) -> web.Response:
        return _json(Version(version=__version__, pid=os.getpid()))


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except InnkeeperError as error:
        return _failure(Failure(reason=error.reason, message=error.message, retryable=error.retryable))
    except ReadFailedError as error:
        reason = GuestReason.IMAGE_CHUNK_MISMATCH
        return _failure(Failure(reason=reason, message=str(error), retryable=True))


def _failure(failure: Failure) -> web.Response:
    return _json(failure, status=409)


def _json(answer: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")
