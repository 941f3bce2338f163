"""One image at several places: the first that answers is read, and the next goes on where one breaks off.

All places hold the same bytes, which the digest proves in the end; this source never compares them. What went wrong at
each place is told together.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import ClassVar

import structlog

from innkeeper.clock import SystemClock
from innkeeper.images.sources.left_places import LeftPlaces
from innkeeper.images.sources.source import Source, SourceError, SourceInfo

log = structlog.get_logger(__name__)


class Mirrored:
    """Several sources of the same bytes, the best first; only URLs have mirrors."""

    kind: ClassVar[str] = "http"

    def __init__(self, sources: Sequence[Source], left: LeftPlaces | None = None) -> None:
        """Take the sources, and what others noted of the same places."""
        self._sources = list(sources)
        self._left = left or LeftPlaces(len(sources), SystemClock())
        self._told: int | None = None  # the place whose size and version were told
        self.strayed = False  # whether a reading left the place whose version was told

    async def stat(self) -> SourceInfo:
        """Return what the first source that answers says; those that did not are read last, since each may take long."""
        failures: list[SourceError] = []
        for place in self._order():
            try:
                with self._left.asking(place):
                    info = await self._sources[place].stat()
            except SourceError as error:
                failures.append(error)
            else:
                self._told = place
                return info
        raise _together(failures)

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the range; each source is tried once."""
        failures: list[SourceError] = []
        for place in self._order():
            try:
                async with aclosing(self._sources[place].read(start, end)) as chunks:
                    while chunk := await self._next(place, chunks):
                        start += len(chunk)
                        yield chunk
            except SourceError as error:
                failures.append(error)
                self.strayed = True
                log.info("mirror_left", at=start, message=error.message)
            else:
                return
        raise _together(failures)

    async def _next(self, place: int, chunks: AsyncGenerator[bytes, None]) -> bytes:
        """Return the next piece of what a place gives; nothing at its end."""
        with self._left.asking(place):
            return await anext(chunks, b"")

    def _order(self) -> list[int]:
        """Return the places in the order in which to ask them; the one that told of itself comes first."""
        return sorted(self._left.order(), key=lambda place: place != self._told)


def _together(failures: Sequence[SourceError]) -> SourceError:
    """Return one error: a later try may help where it may help at any place."""
    hopeful = next((each for each in failures if each.retryable), failures[0])
    message = "; ".join(each.message for each in failures)
    return SourceError(message, reason=hopeful.reason, retryable=hopeful.retryable)
