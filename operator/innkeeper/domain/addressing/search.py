"""Which address of a pool a guest asks for next.

`Random` begins at a place that only guest and interface decide and walks with a step that has no factor in common with
the pool's size, so a second run asks for the same addresses first and two guests seldom meet. After some tries in a full
pool it looks at the free addresses from there on, a window at a time, in an order of the guest's own: else all who look
in a full pool would run for the same address. `Lowest` always takes the first free one.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, islice
from math import gcd

from innkeeper.domain.addressing.intervals import Interval, clipped
from innkeeper.domain.addressing.pool import Order, Pool
from innkeeper.domain.addressing.taken import Taken

_WALK = 128  # steps of the walk before the search goes on from where it is
_WINDOW = 64  # free addresses that are looked at together


def free_addresses(pool: Pool, taken: Taken, *, guest_id: str, interface: str) -> Iterator[str]:
    """Yield free addresses in the order in which they should be asked for. `taken` may change between two of them.

    Who cannot claim one notes it in `taken` before asking for the next.
    """
    if pool.order is Order.LOWEST:
        yield from _noted(pool, taken, taken.free(pool.intervals))
        return
    place, seed = 0, _digest(guest_id, interface)
    for number in _walk(pool.intervals, seed):
        place = number
        if number not in taken:
            yield pool.text(number)
    last = pool.intervals[-1][1] if pool.intervals else -1
    rest = chain(taken.free(clipped(pool.intervals, (place, last))), taken.free(pool.intervals))
    turn = int.from_bytes(seed[:8]) | 1  # odd: different numbers stay different
    while window := list(islice(rest, _WINDOW)):
        window.sort(key=lambda number: number * turn % 2**64)
        yield from _noted(pool, taken, window)
        if any(number not in taken for number in window):
            return


def _noted(pool: Pool, taken: Taken, numbers: Iterable[int]) -> Iterator[str]:
    """Yield those that are still free; end where nobody noted what became of one: it would be asked for again."""
    for number in numbers:
        if number in taken:
            continue
        yield pool.text(number)
        if number not in taken:
            return


def has_free(pool: Pool, taken: Taken) -> bool:
    """Tell whether an address of a pool is free."""
    return next(taken.free(pool.intervals), None) is not None


def count_free(pool: Pool, taken: Taken, *, most: int) -> int:
    """Return how many addresses of a pool are free; no more than `most` are counted."""
    return taken.count_free(pool.intervals, most=most)


def _digest(guest_id: str, interface: str) -> bytes:
    return hashlib.sha256(f"address\0{guest_id}\0{interface}".encode()).digest()


def _walk(intervals: tuple[Interval, ...], digest: bytes) -> Iterator[int]:
    total = sum(last - first + 1 for first, last in intervals)
    if not total:
        return
    start, step = int.from_bytes(digest[:16]) % total, _coprime(int.from_bytes(digest[16:]), total)
    ends = list(accumulate(last - first + 1 for first, last in intervals))
    for count in range(min(total, _WALK)):
        place = (start + count * step) % total
        index = bisect_right(ends, place)
        yield intervals[index][0] + place - (ends[index - 1] if index else 0)


def _coprime(wish: int, total: int) -> int:
    """Return a step near the wish that has no factor in common with the total."""
    step = wish % total or 1
    while gcd(step, total) != 1:
        step += 1
    return step
