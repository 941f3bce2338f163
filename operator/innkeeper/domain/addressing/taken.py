"""Which addresses of one space and family are claimed or at rest, and where the next free one is.

Numbers lie in blocks of 256, so a search steps over a full block at once: the cost of a search follows the addresses that
are taken, never the size of the pool. A pool of which nothing is taken costs nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from innkeeper.domain.addressing.intervals import Interval

_BLOCK = 256
_NOTHING: frozenset[int] = frozenset()


class Taken:
    """A set of addresses as integers."""

    def __init__(self) -> None:
        self._blocks: dict[int, set[int]] = {}

    def add(self, number: int) -> None:
        """Note that an address is taken."""
        block = self._blocks.get(number // _BLOCK)
        if block is None:
            block = self._blocks[number // _BLOCK] = set()
        block.add(number)

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

    def block(self, index: int) -> AbstractSet[int]:
        """Return what is taken of a block: of the 256 numbers from 256 times its index on."""
        return self._blocks.get(index, _NOTHING)

    def free(self, intervals: Iterable[Interval]) -> Iterator[int]:
        """Yield the numbers of the intervals that are not taken; numbers may be added and removed meanwhile."""
        for first, last in intervals:
            number = first
            while number <= last:
                block = self.block(number // _BLOCK)
                end = min(last, (number // _BLOCK + 1) * _BLOCK - 1)
                if len(block) < _BLOCK:
                    yield from (each for each in range(number, end + 1) if each not in block)
                number = end + 1

    def count_free(self, intervals: Iterable[Interval], *, most: int) -> int:
        """Return how many numbers of the intervals are not taken, `most` at the most: block by block, not one by one."""
        count = 0
        for first, last in intervals:
            number = first
            while number <= last and count < most:
                index = number // _BLOCK
                end = min(last, (index + 1) * _BLOCK - 1)
                count += end - number + 1 - self._taken_between(index, number, end)
                number = end + 1
        return min(count, most)

    def _taken_between(self, index: int, first: int, last: int) -> int:
        """Return how many numbers of a block are taken from `first` to `last`; whichever are fewer are looked at."""
        block = self.block(index)
        start = index * _BLOCK
        if 2 * (last - first + 1) < _BLOCK:
            return sum(each in block for each in range(first, last + 1))
        others = (*range(start, first), *range(last + 1, start + _BLOCK))
        return len(block) - sum(each in block for each in others)


class TakenTogether(Taken):
    """One set of addresses, and those that are taken elsewhere beside it: only the former is written to."""

    def __init__(self, own: Taken, elsewhere: Sequence[Taken]) -> None:
        super().__init__()
        self._own = own
        self._elsewhere = elsewhere

    def add(self, number: int) -> None:
        """Note that an address is taken."""
        self._own.add(number)

    def discard(self, number: int) -> None:
        """Note that an address is free here; elsewhere it may be taken all the same."""
        self._own.discard(number)

    def __contains__(self, number: int) -> bool:
        return number in self._own or any(number in each for each in self._elsewhere)

    def block(self, index: int) -> AbstractSet[int]:
        """Return what is taken of a block, here or elsewhere: a copy where both have some."""
        found = [block for each in (self._own, *self._elsewhere) if (block := each.block(index))]
        return found[0] if len(found) == 1 else _NOTHING.union(*found)
