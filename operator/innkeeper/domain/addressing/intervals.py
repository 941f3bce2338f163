"""Sets of addresses as sorted, disjoint intervals of integers, both ends included; never lists or bitmaps of them."""

from collections.abc import Iterable, Iterator, Sequence

Interval = tuple[int, int]


def united(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return the same numbers as sorted intervals that neither overlap nor touch; reversed intervals hold nothing."""
    found: list[Interval] = []
    for first, last in sorted(each for each in intervals if each[0] <= each[1]):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def clipped(intervals: Iterable[Interval], whole: Interval) -> Iterator[Interval]:
    """Yield the parts of intervals that lie inside `whole`."""
    for first, last in intervals:
        if first <= whole[1] and last >= whole[0]:
            yield max(first, whole[0]), min(last, whole[1])


def without(intervals: Iterable[Interval], never: Iterable[Interval]) -> Iterator[Interval]:
    """Yield what is left of sorted intervals when the numbers of `never` are cut out."""
    holes = united(never)
    for first, last in intervals:
        begin = first
        for hole_first, hole_last in holes:
            if hole_last < begin or hole_first > last:
                continue
            if begin < hole_first:
                yield begin, hole_first - 1
            begin = hole_last + 1
        if begin <= last:
            yield begin, last


def shared(one: Sequence[Interval], other: Sequence[Interval]) -> Interval | None:
    """Return the first numbers that two sorted sets have in common, or None."""
    index = 0
    for first, last in one:
        while index < len(other) and other[index][1] < first:
            index += 1
        if index < len(other) and other[index][0] <= last:
            return max(first, other[index][0]), min(last, other[index][1])
    return None
