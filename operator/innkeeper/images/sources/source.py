"""What a source is: a thing with a size and a version whose bytes can be read from any offset.

A source never verifies a digest and never caches: that is its reader's part. Every failure is a `SourceError`,
whose reason becomes the reason of the Image's condition.
"""

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from innkeeper.domain.reasons import ImageReason
from innkeeper.errors import InnkeeperError

CHUNK_BYTES = 1024 * 1024  # the most that a source yields at once


class SourceError(InnkeeperError):
    """The source cannot be read; unless it says otherwise, a later try may succeed."""

    reason: str = ImageReason.SOURCE_UNREACHABLE


class SourceChangedError(SourceError):
    """The source became another one, or shorter, while it was read."""


@dataclass(frozen=True)
class SourceInfo:
    """Size in bytes, and a text that changes when the content does (empty where the origin gives none).

    A source without ranges is read from its beginning whatever part is asked for: it is not read in parts.
    """

    size: int
    etag: str
    has_ranges: bool = True

    @property
    def version(self) -> str:
        """What is kept of it, to tell later whether the source changed: its size, and a hash of the text."""
        text = self.etag.encode("utf-8", "surrogateescape")  # as aiohttp reads what is no UTF-8
        return f"{self.size}-{hashlib.sha256(text).hexdigest()[:32]}"


class Source(Protocol):
    """One image's bytes; `kind` says in a word where they are read."""

    kind: ClassVar[str]

    async def stat(self) -> SourceInfo:
        """Return the size and version as they are now."""
        ...

    def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` up to, not including, `end`, in chunks of at most `CHUNK_BYTES`.

        Who may leave before the end closes it (`contextlib.aclosing`): a file or a connection is open behind it.

        Raises:
            SourceError: while iterating; also when the source ends before `end`.
        """
        ...
