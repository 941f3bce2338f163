"""Pools that would give one address to two machines of one network: the older pool serves it, the newer one waits.

They are of one address space, or name one cluster and the same VLAN there: then their guests meet whatever the space.
Nor may one give the first, last or gateway address of the other's network. What pools serve by labels is not looked at;
there the hosts find out, guest by guest.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from innkeeper.domain.addressing.intervals import shared
from innkeeper.domain.addressing.pool import Pool


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


def overlaps(pools: Iterable[tuple[str, Pool]]) -> dict[str, Overlap]:
    """Return what each pool that may not serve shares with an older one; `pools` come oldest first.

    A pool that may not serve takes no address from those that come after it.
    """
    serving: list[tuple[str, Pool]] = []
    found: dict[str, Overlap] = {}
    for name, pool in pools:
        clash = next((each for each in (_shared(pool, *older) for older in serving) if each), None)
        if clash is None:
            serving.append((name, pool))
        else:
            found[name] = clash
    return found


def _shared(pool: Pool, other_name: str, other: Pool) -> Overlap | None:
    if pool.network.version != other.network.version:
        return None
    meeting = min(pool.clusters & other.clusters, default=None) if pool.vlan == other.vlan else None
    if pool.space != other.space and meeting is None:
        return None
    cluster = None if pool.space == other.space else meeting
    both = shared(pool.intervals, other.intervals)
    if both is not None:
        return Overlap(other_name, pool.text(both[0]), pool.text(both[1]), cluster)
    both = shared(pool.of_network, other.intervals) or shared(pool.intervals, other.of_network)
    if both is not None:
        return Overlap(other_name, pool.text(both[0]), pool.text(both[1]), cluster, of_network=True)
    return None
