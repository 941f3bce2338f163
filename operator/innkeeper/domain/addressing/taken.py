"""Which addresses of one space and family are claimed or at rest, and where the next free one is.

Numbers lie in blocks of 256, so a search steps over a full block at once: the cost of a search follows the addresses that
are taken, never the size of the pool. A pool of which nothing is taken costs nothing.
"""

from collections.abc import Iterable

from innkeeper.domain.addressing.intervals import Interval

_BLOCK = 256


class Taken:
    """A set of addresses as integers."""

    def __init__(self) -> None:
        self._blocks: dict[int, set[int]] = {}

    def add(self, number: int) -> None:
        """Note that an address is taken."""
        self._blocks.setdefault(number // _BLOCK, set()).add(number)

    def discard(self, number: int) -> None:
        """Note that an address is free."""
        block = self._blocks.get(number // _BLOCK)
        if block is not None:
            block.discard(number)
            if not block:
                del self._blocks[number // _BLOCK]

    def __contains__(self, number: int) -> bool:
        block = self._blocks.get(number // _BLOCK)
        return block is not None and number in block

    def first_free(self, intervals: Iterable[Interval]) -> int | None:
        """Return the first number of the intervals that is not taken, or None."""
        for first, last in intervals:
            found = self._first_free(first, last)
            if found is not None:
                return found
        return None

    def _first_free(self, first: int, last: int) -> int | None:
        number = first
        while number <= last:
            block = self._blocks.get(number // _BLOCK)
            if block is None:
                return number
            end = min(last, (number // _BLOCK + 1) * _BLOCK - 1)
            if len(block) < _BLOCK:
                for each in range(number, end + 1):
                    if each not in block:
                        return each
            number = end + 1
        return None
