"""Which address of a pool a guest asks for next.

`Random` begins at a place that only guest and interface decide and walks with a step that has no factor in common with
the pool's size, so a second run asks for the same addresses first and two guests seldom meet. After some tries in a full
pool it takes the next free address from there on. `Lowest` always takes the first free one.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from math import gcd

from innkeeper.domain.addressing.intervals import Interval, clipped
from innkeeper.domain.addressing.pool import Order, Pool
from innkeeper.domain.addressing.taken import Taken

_WALK = 128  # steps of the walk before the search goes on from where it is


def free_addresses(pool: Pool, taken: Taken, *, guest_id: str, interface: str) -> Iterator[str]:
    """Yield free addresses in the order in which they should be asked for. `taken` may change between two of them.

    Who cannot claim one notes it in `taken` before asking for the next.
    """
    last = pool.intervals[-1][1] if pool.intervals else -1
    place = 0
    if pool.order is Order.RANDOM:
        for number in _walk(pool.intervals, guest_id=guest_id, interface=interface):
            place = number
            if number not in taken:
                yield pool.text(number)
    while (found := taken.first_free(clipped(pool.intervals, (place, last)))) is not None:
        yield pool.text(found)
        if found not in taken:
            return  # nobody noted what became of it: the same one again would be a loop
    while (found := taken.first_free(pool.intervals)) is not None:
        yield pool.text(found)
        if found not in taken:
            return


def has_free(pool: Pool, taken: Taken, *, more_than: int = 0) -> bool:
    """Tell whether more than so many addresses of a pool are free."""
    count = 0
    for first, last in pool.intervals:
        number: int | None = first
        while number is not None and number <= last:
            number = taken.first_free([(number, last)])
            if number is not None:
                count += 1
                if count > more_than:
                    return True
                number += 1
    return False


def _walk(intervals: tuple[Interval, ...], *, guest_id: str, interface: str) -> Iterator[int]:
    total = sum(last - first + 1 for first, last in intervals)
    if not total:
        return
    digest = hashlib.sha256(f"address\0{guest_id}\0{interface}".encode()).digest()
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
