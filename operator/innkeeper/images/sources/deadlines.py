"""How long an origin may take: for a connection, for its answer, and for each part of what it sends.

All accounts share one image server, so no origin may hold a connection for longer than it works. The time in which the
reader takes nothing is never counted against the origin.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from innkeeper.images.sources.source import CHUNK_BYTES


@dataclass(frozen=True)
class OriginDeadlines:
    """Seconds, and the least that an origin must send while it is waited for."""

    connect_s: float = 15  # for a free connection, the address of its name, and the connection itself
    answer_s: float = 20  # until the head of an answer is there, those before it that redirect included
    silence_s: float = 30
    least_bytes: int = 256 * 1024  # what a host asks for at least
    least_within_s: float = 30


class Body(Protocol):
    """What an origin sends: the part of aiohttp's StreamReader that is used here."""

    async def read(self, n: int) -> bytes:
        """Return what is there, at most `n` bytes, once there is anything; nothing at the end."""
        ...


class TooSlowError(TimeoutError):
    """The origin sends, but too little."""


async def steady(body: Body, deadlines: OriginDeadlines) -> AsyncGenerator[bytes, None]:
    """Yield what an origin sends, as long as it sends enough.

    Raises:
        TooSlowError: it was waited for, for `least_within_s` in all, and `least_bytes` did not come.
    """
    loop = asyncio.get_running_loop()
    missing, left = deadlines.least_bytes, deadlines.least_within_s
    while True:
        asked_at = loop.time()
        timeout = asyncio.timeout(left)
        try:
            async with timeout:
                chunk = await body.read(CHUNK_BYTES)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise TooSlowError(
                f"less than {deadlines.least_bytes} bytes in {deadlines.least_within_s:g} s"
            ) from error
        if not chunk:
            return
        missing, left = missing - len(chunk), left - (loop.time() - asked_at)
        if missing <= 0:
            missing, left = deadlines.least_bytes, deadlines.least_within_s
        yield chunk
