"""Pools that would give one address to two machines of one network: the older pool serves it, the newer one waits.

They are of one address space, or name one cluster and the same VLAN there: then their guests meet whatever the space.
What pools serve by labels is not looked at; there the hosts find out, guest by guest.
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

    def __str__(self) -> str:
        """Say it, and what to do."""
        where = f"{self.first} to {self.last} are in the older IPPool {self.other!r}"
        if self.cluster is None:
            return (
                f"{where} of the same address space too: change the ranges of one of them, or give it an "
                "addressSpace of its own"
            )
        return (
            f"{where} too, which serves the Cluster {self.cluster!r} in the same VLAN: change the ranges of one of "
            "them, or give it a vlan of its own"
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
    both = shared(pool.intervals, other.intervals)
    if both is None:
        return None
    cluster = None if pool.space == other.space else meeting
    return Overlap(other_name, pool.text(both[0]), pool.text(both[1]), cluster)
