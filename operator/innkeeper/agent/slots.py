"""A bounded number of things at once; of those that wait, the lowest rank goes first.

It knows nothing of guests. Who is cancelled while waiting gives its place on.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

Rank = tuple[Any, ...]


class Slots:
    """So many slots, for one event loop."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._arrived = 0

    @asynccontextmanager
    async def taken(self, rank: Rank) -> AsyncIterator[None]:
        """Hold a slot; wait for one where none is free."""
        await self._take(rank)
        try:
            yield
        finally:
            self._give()

    async def _take(self, rank: Rank) -> None:
        if self._free > 0:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived += 1
        heapq.heappush(self._waiting, (rank, self._arrived, mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._give()  # it was ours already
            raise

    def _give(self) -> None:
        while self._waiting:
            _, _, next_one = heapq.heappop(self._waiting)
            if not next_one.done():
                next_one.set_result(None)
                return
        self._free += 1
