"""Which pools a guest's addresses come from, whether they have one for it, and the clusters that they let it go to.

Reads the subset only. Claims are made elsewhere; what is free here may be taken a moment later.
"""

from collections.abc import Sequence

from innkeeper.domain.addressing.pool import Pool
from innkeeper.domain.addressing.wishes import Wish, wishes
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.reasons import GuestReason
from innkeeper.domain.scheduling.selectors import Selector
from innkeeper.state import waiting
from innkeeper.state.pool_catalog import Problem
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPAddress
from innkeeper.workers.shortage import Shortage, Wanted, blocked, canonical, causes

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


class Reach:
    """Answers about one guest at a time."""

    def __init__(self, subset: Subset) -> None:
        self._subset = subset
        self._shortage = Shortage(subset)

    def wanted(self, guest: Guest) -> list[Wanted] | Blocked:
        """Return the addresses that a guest is to have, or why it cannot have one of them now.

        Certain addresses come first: who may have any takes none of them.
        """
        by_place: dict[int, Wanted] = {}
        clusters: frozenset[str] | None = None
        for place, wish in sorted(enumerate(wishes(guest)), key=lambda each: each[1].address is None):
            one = self._choose(guest, wish, clusters=clusters, earlier=list(by_place.values()))
            if isinstance(one, Blocked):
                return one
            by_place[place] = one
            clusters = _both(clusters, self.served(one.name))
        found = [by_place[place] for place in sorted(by_place)]
        return self._unserved(guest, found) or _between_vlans(found) or found

    def clusters(self, guest: Guest, wanted: list[Wanted] | Blocked) -> frozenset[str] | None:
        """Return the clusters that all of a guest's pools serve; None where any will do.

        A guest that is placed again stays in its cluster: its addresses live there.
        """
        allowed: frozenset[str] | None = None
        for name in _named(guest) if isinstance(wanted, Blocked) else {each.name for each in wanted}:
            allowed = _both(allowed, self.served(name))
        if guest.status.cluster is None or not guest.status.addresses:
            return allowed
        return _both(allowed, frozenset({guest.status.cluster}))

    def served(self, name: str) -> frozenset[str] | None:
        """Return the clusters that a pool serves; None where there is no such pool."""
        view = self._subset.pool_catalog.view(name)
        if view is None:
            return None
        if view.spec.cluster_selector is None:
            return frozenset(view.spec.clusters or ()) or None
        selector = Selector.of(view.spec.cluster_selector)
        return frozenset(
            cluster
            for cluster, each in self._subset.clusters.items()
            if selector.matches(each.metadata.labels)
        )

    def _choose(
        self, guest: Guest, wish: Wish, *, clusters: frozenset[str] | None, earlier: Sequence[Wanted]
    ) -> Wanted | Blocked:
        if wish.pool is not None:
            return self._from(guest, wish, wish.pool, earlier=earlier)
        matching = [name for name in self._subset.pool_catalog if self._matches(wish, name)]
        # An address that is held already decides; after that the first pool that can give one.
        matching.sort(key=lambda name: self._held(guest, wish, name) is None)
        refusals = []
        for name in matching:
            served = self.served(name)
            if clusters is not None and served is not None and not clusters & served:
                continue
            one = self._from(guest, wish, name, earlier=earlier)
            if isinstance(one, Wanted):
                return one
            refusals.append(one)
        if refusals:
            could_help = {cause for each in refusals for cause in each.causes} | {waiting.any_pool()}
            first, needs = (
                refusals[0],
                {cause: need for each in refusals for cause, need in each.needs.items()},
            )
            return blocked(first.reason, first.message, *sorted(could_help), needs=needs)
        message = (
            f"no IPPool has the labels that {wish.interface!r} asks for and serves a cluster of the others"
        )
        return blocked(GuestReason.POOL_NOT_FOUND, message, waiting.any_pool())

    def _matches(self, wish: Wish, name: str) -> bool:
        view = self._subset.pool_catalog.view(name)
        return view is not None and wish.selector is not None and wish.selector.matches(view.metadata.labels)

    def _from(self, guest: Guest, wish: Wish, name: str, *, earlier: Sequence[Wanted]) -> Wanted | Blocked:
        held = self._held(guest, wish, name)
        looked = self._subset.pool_catalog.look(name)
        pool = looked if isinstance(looked, Pool) or held is None else self._subset.pool_catalog.held(name)
        if pool is None:
            return blocked(
                GuestReason.POOL_NOT_FOUND, f"there is no IPPool {name!r}", waiting.spec_of_pool(name)
            )
        if isinstance(pool, Problem):
            message = f"the IPPool {name!r} cannot be used: {pool.message}"
            return blocked(GuestReason.POOL_UNUSABLE, message, waiting.spec_of_pool(name))
        if any(each.interface == wish.interface and each.pool.version == pool.version for each in earlier):
            message = f"interface {wish.interface!r} asks for two addresses of IPv{pool.version}: take one of each family"
            return blocked(GuestReason.POOLS_OF_ONE_FAMILY, message, waiting.spec_of_pool(name))
        wanted = Wanted(wish.interface, name, pool, canonical(wish.address), held)
        return (None if held is not None else self._shortage.of(guest, wanted, earlier)) or wanted

    def _held(self, guest: Guest, wish: Wish, pool: str) -> IPAddress | None:
        """Return the claim that a guest has for a wish already: it keeps that one, whatever became of the pool."""
        fixed = canonical(wish.address)
        for each in self._subset.claims.of_guest(guest_id_of(guest)):
            owner = each.spec.owner
            is_for_it = owner is not None and owner.interface == wish.interface and each.spec.pool == pool
            if is_for_it and fixed in (None, each.spec.address):
                return each
        return None

    def _unserved(self, guest: Guest, found: list[Wanted]) -> Blocked | None:
        """A guest that names a cluster needs pools that serve it."""
        cluster = guest.spec.placement.cluster if guest.spec.placement else None
        for each in found:
            served = self.served(each.name)
            if cluster is not None and served is not None and cluster not in served:
                there = ", ".join(sorted(served)) or "no cluster"
                message = f"the IPPool {each.name!r} serves {there}, not the cluster {cluster!r}"
                return blocked(
                    GuestReason.POOL_NOT_SERVING_CLUSTER, message, *causes(each), waiting.any_pool()
                )
        return None


def _between_vlans(found: list[Wanted]) -> Blocked | None:
    """One interface is plugged in once."""
    seen: dict[str, Wanted] = {}
    for each in found:
        first = seen.setdefault(each.interface, each)
        if first.pool.vlan != each.pool.vlan:
            message = (
                f"interface {each.interface!r} asks for addresses of two VLANs, {first.pool.vlan or 'none'} of the "
                f"IPPool {first.name!r} and {each.pool.vlan or 'none'} of {each.name!r}: take two interfaces"
            )
            return blocked(GuestReason.POOLS_OF_TWO_VLANS, message, waiting.spec_of_pool(each.name))
    return None


def _named(guest: Guest) -> set[str]:
    return {wish.pool for wish in wishes(guest) if wish.pool is not None}


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
