"""One image at several places: the first that answers is read, and the next goes on where one breaks off.

All places hold the same bytes, which the digest proves in the end; this source never compares them. What went wrong at
each place is told together.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import ClassVar

import structlog

from innkeeper.images.sources.source import Source, SourceError, SourceInfo

log = structlog.get_logger(__name__)


class Mirrored:
    """Several sources of the same bytes, the best first; only URLs have mirrors."""

    kind: ClassVar[str] = "http"

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)
        self.strayed = False  # whether a reading left the place whose version was told

    async def stat(self) -> SourceInfo:
        """Return what the first source that answers says; those that did not are read last, since each may take long."""
        failures: list[SourceError] = []
        for index, source in enumerate(self._sources):
            try:
                info = await source.stat()
            except SourceError as error:
                failures.append(error)
            else:
                self._sources = self._sources[index:] + self._sources[:index]
                return info
        raise _together(failures)

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the range; each source is tried once."""
        failures: list[SourceError] = []
        for source in self._sources:
            try:
                async with aclosing(source.read(start, end)) as chunks:
                    async for chunk in chunks:
                        start += len(chunk)
                        yield chunk
            except SourceError as error:
                failures.append(error)
                self.strayed = True
                log.info("mirror_left", at=start, message=error.message)
            else:
                return
        raise _together(failures)


def _together(failures: Sequence[SourceError]) -> SourceError:
    """Return one error: a later try may help where it may help at any place."""
    hopeful = next((each for each in failures if each.retryable), failures[0])
    message = "; ".join(each.message for each in failures)
    return SourceError(message, reason=hopeful.reason, retryable=hopeful.retryable)
