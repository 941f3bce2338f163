"""The events of one watch, as they come: all that arrived together is one batch.

It reads no further ahead than its connection does. It decides nothing about what is newer: the informer does.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from innkeeper.kube.answers import EventReader, Lines, WatchEvent
from innkeeper.kube.connection import Answer
from innkeeper.kube.errors import ApiError, UnavailableError
from innkeeper.views.meta import View

V = TypeVar("V", bound=View)


class EventStream(Generic[V]):
    """A watch that the server has begun to answer; it is to end it within some seconds."""

    def __init__(self, answer: Answer, view: type[V], *, ends_within_s: float) -> None:
        self._answer = answer
        self._reader = EventReader(view)
        self._failure: ApiError | None = None
        self._lines = Lines()
        self._ends_at = asyncio.get_running_loop().time() + ends_within_s

    async def batch(self, *, within_s: float | None = None) -> list[WatchEvent[V]] | None:
        """Return the next events, at least one; none where the watch ended, None where nothing came in time.

        Events before one that is an error are returned first; the next call raises.

        Raises:
            ApiError: the connection was lost, or what an ERROR event means.
        """
        until = self._ends_at if within_s is None else asyncio.get_running_loop().time() + within_s
        try:
            async with asyncio.timeout_at(min(until, self._ends_at)):
                return await self._next()
        except TimeoutError:
            if until < self._ends_at:
                return None
            raise UnavailableError("the API server did not end a watch in time") from None

    async def each(self) -> AsyncIterator[WatchEvent[V]]:
        """Yield the events one by one until the watch ends.

        Raises:
            ApiError: as `batch`.
        """
        while events := await self.batch():
            for event in events:
                yield event

    async def _next(self) -> list[WatchEvent[V]]:
        events: list[WatchEvent[V]] = []
        while not events:
            if self._failure is not None:
                raise self._failure
            chunk = await self._answer.chunk()
            if not chunk:
                return []
            events = self._events(chunk)
        return events

    def _events(self, chunk: bytes) -> list[WatchEvent[V]]:
        """Return the events that a chunk completes, up to the first that is an error: that one is kept."""
        events: list[WatchEvent[V]] = []
        try:
            for line in self._lines.of(chunk):
                events.append(self._reader.event(line))  # noqa: PERF401 - those before an error are kept
        except ApiError as error:
            self._failure = error
        return events
