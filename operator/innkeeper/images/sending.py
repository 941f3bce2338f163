"""Sends an answer piece by piece to who may be slow: who takes nothing for a while is left.

Once the status is out, a connection that is cut is the only way left to say that what came is not the whole.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import structlog
from aiohttp import web

from innkeeper.errors import InnkeeperError

log = structlog.get_logger(__name__)

WRITE_TIMEOUT_S = 60.0


async def send(
    request: web.Request,
    response: web.StreamResponse,
    first: bytes,
    rest: AsyncIterator[bytes],
    *,
    write_s: float = WRITE_TIMEOUT_S,
    sent: Callable[[int], object] = lambda _: None,
) -> None:
    """Send an answer whose first piece is there already; `sent` hears of the bytes of each."""
    await response.prepare(request)
    try:
        await _write(response, first, write_s)
        sent(len(first))
        async for piece in rest:
            await _write(response, piece, write_s)
            sent(len(piece))
        await response.write_eof()
    except (InnkeeperError, TimeoutError) as error:
        log.warning("stream_broken", path=request.path, error=str(error) or "the reader took nothing in time")
        if request.transport is not None:
            request.transport.abort()


async def _write(response: web.StreamResponse, piece: bytes, write_s: float) -> None:
    async with asyncio.timeout(write_s):
        await response.write(piece)
