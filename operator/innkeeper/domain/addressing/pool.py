"""What an IPPool may give: its ranges less what must never be given.

Network, broadcast and gateway addresses and the exclusions are cut out. Everything is sorted intervals of integers.
"""

import hashlib
import ipaddress
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from innkeeper.domain.durations import seconds
from innkeeper.views.network import IPPoolSpec

Interval = tuple[int, int]  # both ends included


class PoolInvalidError(ValueError):
    """The pool cannot give addresses as it is written; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pool that was understood: disjoint sorted intervals of addresses that may be given."""

    space: str
    network: ipaddress.IPv4Network
    intervals: tuple[Interval, ...]
    gateway: str | None
    dns: tuple[str, ...]
    quarantine_s: float

    @property
    def total(self) -> int:
        """How many addresses it may give."""
        return sum(last - first + 1 for first, last in self.intervals)

    def contains(self, address: str) -> bool:
        """Tell whether the pool may give this address."""
        number = int(ipaddress.IPv4Address(address))
        return any(first <= number <= last for first, last in self.intervals)

    def candidates(self, guest_id: str, interface: str) -> Iterator[str]:
        """Yield every address once, beginning at a place that only guest and interface decide.

        The order is a walk with a step that has no factor in common with the total, so a second run asks for the same
        addresses first, and two guests seldom meet.
        """
        total = self.total
        if not total:
            return
        digest = hashlib.sha256(f"address\0{guest_id}\0{interface}".encode()).digest()
        start, step = int.from_bytes(digest[:8]) % total, _coprime(int.from_bytes(digest[8:16]), total)
        ends = list(accumulate(last - first + 1 for first, last in self.intervals))
        for count in range(total):
            place = (start + count * step) % total
            index = bisect_right(ends, place)
            before = ends[index - 1] if index else 0
            yield str(ipaddress.IPv4Address(self.intervals[index][0] + place - before))


def understand(spec: IPPoolSpec) -> Pool:
    """Return the pool that a spec describes.

    Raises:
        PoolInvalidError: it cannot be served; the message says what to change.
    """
    try:
        network = ipaddress.IPv4Network(spec.cidr)
        quarantine_s = seconds(spec.quarantine)
        gateway = None if spec.gateway is None else ipaddress.IPv4Address(spec.gateway)
        exclude = [_excluded(text) for text in spec.exclude]
        ranges = [_range(each.start, each.end, network) for each in spec.ranges]
    except ValueError as error:
        raise PoolInvalidError(str(error)) from error
    if gateway is not None and gateway not in network:
        raise PoolInvalidError(f"the gateway {gateway} is not in {network}: correct spec.gateway")
    whole = (int(network.network_address) + 1, int(network.broadcast_address) - 1)
    never = [*exclude, *([(int(gateway), int(gateway))] if gateway else [])]
    wanted = _united([_clipped(each, whole) for each in ranges] if ranges else [whole])
    return Pool(
        space=spec.address_space,
        network=network,
        intervals=tuple(_without(wanted, never)),
        gateway=spec.gateway,
        dns=tuple(spec.dns),
        quarantine_s=quarantine_s,
    )


def _range(start: str, end: str, network: ipaddress.IPv4Network) -> Interval:
    first, last = ipaddress.IPv4Address(start), ipaddress.IPv4Address(end)
    if first > last:
        raise ValueError(f"the range {start} to {end} is reversed: swap start and end")
    if first not in network or last not in network:
        raise ValueError(f"the range {start} to {end} leaves {network}: correct spec.ranges")
    return (int(first), int(last))


def _excluded(text: str) -> Interval:
    network = ipaddress.IPv4Network(text)
    return (int(network.network_address), int(network.broadcast_address))


def _clipped(interval: Interval, whole: Interval) -> Interval:
    return (max(interval[0], whole[0]), min(interval[1], whole[1]))


def _united(intervals: list[Interval]) -> list[Interval]:
    found: list[Interval] = []
    for first, last in sorted(each for each in intervals if each[0] <= each[1]):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _without(intervals: list[Interval], never: list[Interval]) -> Iterator[Interval]:
    holes = _united(never)
    for first, last in intervals:
        begin = first
        for hole_first, hole_last in holes:
            if hole_last < begin or hole_first > last:
                continue
            if begin < hole_first:
                yield (begin, hole_first - 1)
            begin = hole_last + 1
        if begin <= last:
            yield (begin, last)


def _coprime(wish: int, total: int) -> int:
    """Return a step near the wish that has no factor in common with the total."""
    step = wish % total or 1
    while _common_factor(step, total) != 1:
        step += 1
    return step


def _common_factor(one: int, other: int) -> int:
    while other:
        one, other = other, one % other
    return one
