"""The ways in which a guest may have its addresses, each with the clusters where it may have them.

Where pools are chosen by labels there may be several ways: which one is taken is decided together with the host. Reads
the subset only. Claims are made elsewhere; what is free here may be taken a moment later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from innkeeper.domain.addressing.wishes import wishes
from innkeeper.domain.reasons import GuestReason
from innkeeper.domain.scheduling.selectors import Selector
from innkeeper.state.served_clusters import both
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.workers.pool_choice import PoolChoice, Refusals, Search, cluster_of
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


@dataclass(frozen=True, kw_only=True)
class Way:
    """Addresses that a guest may have together, in its own order, and the clusters where it may have them (None: all)."""

    wanted: tuple[Wanted, ...]
    clusters: frozenset[str] | None

    @property
    def pools(self) -> tuple[str, ...]:
        """The names of the pools."""
        return tuple(each.name for each in self.wanted)

    def serves(self, cluster: str) -> bool:
        """Tell whether the guest may have these addresses in a cluster."""
        return self.clusters is None or cluster in self.clusters


class Reach:
    """Answers about one guest at a time."""

    def __init__(self, subset: Subset) -> None:
        self._served = subset.served
        self._choice = PoolChoice(subset)

    def ways(self, guest: Guest, refusals: Refusals) -> Iterator[Way]:
        """Yield a guest's ways, by the names of their pools; note why pools were passed by.

        Each cluster where it may have its addresses is one of some way. Most guests need the first way alone, so the
        others are looked for when they are asked for.
        """
        start, search = self._asked_clusters(guest), self._choice.begin(guest, refusals)
        first = self._way(search, start)
        if first is not None:
            yield first
        elif not search.cut_at:
            return
        found = (self._way(search, part) for part in self._parts(search, start))
        others = {each.pools: each for each in found if each is not None and each.clusters != frozenset()}
        if first is not None:
            others.pop(first.pools, None)
        yield from (others[pools] for pools in sorted(others))

    def named(self, guest: Guest) -> frozenset[str] | None:
        """Return the clusters that the pools serve which a guest names; None where any will do."""
        return _at_home(guest, self._served.by_all(_named(guest)))

    def served(self, guest: Guest) -> frozenset[str] | None:
        """Return all clusters where a guest's ways may lead, whether its pools have addresses left or not.

        No way leads anywhere else. It is the same for equal guests, and costs no look at any pool.
        """
        found = self._served.by_all(_named(guest))
        for wish in wishes(guest):
            if wish.selector is not None:
                found = both(found, self._chosen(guest, wish.selector, wish.interface))
        return _at_home(guest, found)

    def _chosen(self, guest: Guest, selector: Selector, interface: str) -> frozenset[str] | None:
        """Return where pools with such labels serve, and those that an interface of the guest is bound to."""
        found = self._served.labelled(selector).clusters
        for each in guest.status.addresses:
            if each.interface == interface and found is not None:
                bound = self._served.of(each.pool)
                found = None if bound is None else found | bound
        return found

    def _way(self, search: Search, within: frozenset[str] | None) -> Way | None:
        wanted = self._choice.together(search, within)
        if wanted is None:
            return None
        served = self._served.by_all(each.name for each in wanted)
        return Way(wanted=wanted, clusters=_at_home(search.guest, served))

    def _asked_clusters(self, guest: Guest) -> frozenset[str] | None:
        """Return where pools that labels choose have to serve: the cluster asked for, and what named pools serve."""
        cluster = cluster_of(guest)
        asked = None if cluster is None else frozenset({cluster})
        # Named pools that serve no such cluster are told of by themselves.
        return both(asked, self._served.by_all(_named(guest))) or None

    def _parts(self, search: Search, start: frozenset[str] | None) -> Sequence[frozenset[str]]:
        """Return one cluster of each set of clusters that the same pools serve.

        The first way is all there is in one, unless its search was cut short among pools that one has not.
        """
        by_labels = tuple(wish.selector for wish in search.asked if wish.selector is not None)
        parts = self._served.parts(by_labels, start) if by_labels else ()
        if len(parts) == 1:
            served = self._served.serving
            is_narrower = any(served(each, parts[0]) != served(each, start) for each in by_labels)
            return parts if search.cut_at and is_narrower else ()
        return parts


def _named(guest: Guest) -> set[str]:
    return {wish.pool for wish in wishes(guest) if wish.pool is not None}


def _at_home(guest: Guest, clusters: frozenset[str] | None) -> frozenset[str] | None:
    """A guest that is placed again stays in its cluster: its addresses live there."""
    if guest.status.cluster is None or not guest.status.addresses:
        return clusters
    return both(clusters, frozenset({guest.status.cluster}))
