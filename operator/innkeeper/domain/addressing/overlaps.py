"""Pools that would give one address to two machines of one network: the older pool serves it, the newer one waits.

They are of one address space, or name one cluster and the same VLAN there: then their guests meet whatever the space.
Nor may one give the first, last or gateway address of the other's network. Two things are not looked at, and the hosts
find out, guest by guest: what pools serve by labels, and `network.vlan` of a Cluster. A pool without a vlan and one with
the vlan of the Cluster that both name meet there, and are not found. Only pools whose networks intersect are compared,
so many pools apart from each other cost little.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from innkeeper.domain.addressing.intervals import shared
from innkeeper.domain.addressing.pool import Pool

# Family and address space; or family, cluster and VLAN.
Where = tuple[int, str] | tuple[int, str, int | None]


@dataclass(frozen=True)
class Overlap:
    """What a pool shares with an older one."""

    other: str
    first: str
    last: str
    cluster: str | None = None  # where their guests would meet, if the address spaces differ
    of_network: bool = False  # one pool gives what is first, last or gateway of the other's network

    def __str__(self) -> str:
        """Say it, and what to do."""
        if self.cluster is None:
            meets, own = "of the same address space", "an addressSpace of its own"
        else:
            meets, own = f"which serves the Cluster {self.cluster!r} in the same VLAN", "a vlan of its own"
        if self.of_network:
            return (
                f"{self.first} is the first, last or gateway address of one network and given by the other, of this "
                f"IPPool and the older {self.other!r} {meets}: exclude it where it is given, or give one of them {own}"
            )
        return (
            f"{self.first} to {self.last} are in the older IPPool {self.other!r} {meets} too: change the ranges of one "
            f"of them, or give it {own}"
        )


class _Place:
    """The pools that serve where their guests would meet: found by their networks, each by its turn in age."""

    def __init__(self) -> None:
        self._by_first: list[tuple[int, int]] = []  # first number of the network, turn; sorted
        self._turns: defaultdict[tuple[int, int], list[int]] = defaultdict(list)  # (first number, size)
        self._sizes: set[int] = set()  # of networks

    def add(self, pool: Pool, turn: int) -> None:
        """Note a pool that serves."""
        first, last = pool.bounds
        insort(self._by_first, (first, turn))
        self._turns[first, last - first + 1].append(turn)
        self._sizes.add(last - first + 1)

    def near(self, pool: Pool) -> Iterator[int]:
        """Yield the turns of those whose networks lie inside a pool's or around it; two networks meet in no other way."""
        first, last = pool.bounds
        begin, end = bisect_left(self._by_first, (first, 0)), bisect_left(self._by_first, (last + 1, 0))
        yield from (turn for _, turn in self._by_first[begin:end])
        for size in self._sizes:
            yield from self._turns.get((first // size * size, size), ())


def overlaps(pools: Iterable[tuple[str, Pool]]) -> dict[str, Overlap]:
    """Return what each pool that may not serve shares with an older one; `pools` come oldest first.

    A pool that may not serve takes no address from those that come after it.
    """
    serving: list[tuple[str, Pool]] = []
    places: defaultdict[Where, _Place] = defaultdict(_Place)
    found: dict[str, Overlap] = {}
    for name, pool in pools:
        own = [places[where] for where in _meets(pool)]
        near = {turn for place in own for turn in place.near(pool)}
        clash = next(
            (each for each in (_shared(pool, *serving[turn]) for turn in sorted(near)) if each), None
        )
        if clash is not None:
            found[name] = clash
            continue
        for place in own:
            place.add(pool, len(serving))
        serving.append((name, pool))
    return found


def segments(pool: Pool) -> Iterator[Where]:
    """Yield where guests of a pool meet those of any other space: each cluster that it names, with its VLAN."""
    return segments_of(pool.version, clusters=pool.clusters, vlan=pool.vlan)


def segments_of(family: int, *, clusters: Iterable[str], vlan: int | None) -> Iterator[Where]:
    """Yield where machines of a family meet: each cluster, with a VLAN."""
    for cluster in clusters:
        yield family, cluster, vlan


def _meets(pool: Pool) -> Iterator[Where]:
    yield pool.version, pool.space
    yield from segments(pool)


def _shared(pool: Pool, other_name: str, other: Pool) -> Overlap | None:
    given = shared(pool.intervals, other.intervals)
    both = given or shared(pool.of_network, other.intervals) or shared(pool.intervals, other.of_network)
    if both is None:
        return None
    cluster = None if pool.space == other.space else min(pool.clusters & other.clusters)
    return Overlap(other_name, pool.text(both[0]), pool.text(both[1]), cluster, of_network=given is None)
