"""What is served: bytes by name, of which some may have to be waited for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol


class ReadFailedError(Exception):
    """The bytes cannot be had."""


@dataclass(frozen=True)
class InFile:
    """Bytes that lie in a file, at the offset that was asked for, and whether all of them are known to be zeros."""

    file: BinaryIO
    is_zero: bool = False


class Export(Protocol):
    """Bytes that are served."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def at_hand(self, offset: int, length: int) -> InFile | None:
        """Return where the bytes lie, if all of them are here."""
        ...

    async def read(self, offset: int, length: int) -> InFile | bytes:
        """Return the bytes, or where they lie now; waits as long as it takes.

        Raises:
            ReadFailedError: they cannot be had.
        """
        ...

    def extents(self, offset: int, length: int) -> Sequence[tuple[int, bool]]:
        """Return runs of bytes in order, and whether each is known to be zeros."""
        ...


class Exports(Protocol):
    """The exports that there are."""

    def find(self, name: str) -> Export | None:
        """Return an export."""
        ...
