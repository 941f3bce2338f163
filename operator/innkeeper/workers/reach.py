"""The ways in which a guest may have its addresses, each with the clusters where it may have them.

Where pools are chosen by labels there may be several ways: which one is taken is decided together with the host. Reads
the subset only. Claims are made elsewhere; what is free here may be taken a moment later.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from innkeeper.domain.addressing.wishes import wishes
from innkeeper.domain.reasons import GuestReason
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.workers.pool_choice import PoolChoice, Refusals, both, cluster_of
from innkeeper.workers.shortage import Wanted

NO_ADDRESS = frozenset(
    {
        GuestReason.POOL_EXHAUSTED,
        GuestReason.POOL_LIMIT_REACHED,
        GuestReason.ADDRESS_OUTSIDE_POOL,
        GuestReason.ADDRESS_RESERVED,
        GuestReason.ADDRESS_TAKEN,
    }
)
"""Reasons why a pool that is there has no address for a guest."""

_ELSEWHERE = ""
"""Stands for the clusters that no pool names. No Cluster is called so: only pools that serve all clusters serve it."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """Addresses that a guest may have together, in its own order, and the clusters where it may have them (None: all)."""

    wanted: tuple[Wanted, ...]
    clusters: frozenset[str] | None

    @property
    def pools(self) -> tuple[str, ...]:
        """The names of the pools."""
        return tuple(each.name for each in self.wanted)


class Reach:
    """Answers about one guest at a time."""

    def __init__(self, subset: Subset) -> None:
        self._choice = PoolChoice(subset)

    def ways(self, guest: Guest, refusals: Refusals) -> Iterator[Way]:
        """Yield a guest's ways, by the names of their pools; note why pools were passed by.

        Each cluster where it may have its addresses is one of some way. Most guests need the first way alone, so the
        others are looked for when they are asked for.
        """
        start = self._asked_clusters(guest)
        first = self._way(guest, start, refusals)
        if first is not None:
            yield first
        found = [self._way(guest, part, refusals) for part in self._parts(guest, start)]
        others = {each.pools: each for each in found if each is not None and each.clusters != frozenset()}
        if first is not None:
            others.pop(first.pools, None)
        yield from (others[pools] for pools in sorted(others))

    def named(self, guest: Guest) -> frozenset[str] | None:
        """Return the clusters that the pools serve which a guest names; None where any will do."""
        return at_home(guest, self._choice.served_by_all(_named(guest)))

    def _way(self, guest: Guest, within: frozenset[str] | None, refusals: Refusals) -> Way | None:
        wanted = self._choice.together(guest, within, refusals)
        if wanted is None:
            return None
        served = self._choice.served_by_all(each.name for each in wanted)
        return Way(wanted=wanted, clusters=at_home(guest, served))

    def _asked_clusters(self, guest: Guest) -> frozenset[str] | None:
        """Return where pools that labels choose have to serve: the cluster asked for, and what named pools serve."""
        cluster = cluster_of(guest)
        asked = None if cluster is None else frozenset({cluster})
        # Named pools that serve no such cluster are told of by themselves.
        return both(asked, self._choice.served_by_all(_named(guest))) or None

    def _parts(self, guest: Guest, start: frozenset[str] | None) -> list[frozenset[str]]:
        """Return one cluster of each set of clusters that the same pools serve, of those that labels choose."""
        by_labels = [wish for wish in wishes(guest) if wish.selector is not None]
        served = {
            name: self._choice.served(name) for wish in by_labels for name in self._choice.matching(wish)
        }
        named = {cluster for each in served.values() if each is not None for cluster in each}
        reached = {*named, _ELSEWHERE} if start is None else start
        parts: dict[frozenset[str], str] = {}
        for cluster in sorted(reached) if by_labels else ():
            serving = frozenset(name for name, each in served.items() if each is None or cluster in each)
            parts.setdefault(serving, cluster)
        return [frozenset({cluster}) for cluster in parts.values()]


def _named(guest: Guest) -> set[str]:
    return {wish.pool for wish in wishes(guest) if wish.pool is not None}


def at_home(guest: Guest, clusters: frozenset[str] | None) -> frozenset[str] | None:
    """A guest that is placed again stays in its cluster: its addresses live there."""
    if guest.status.cluster is None or not guest.status.addresses:
        return clusters
    return both(clusters, frozenset({guest.status.cluster}))
