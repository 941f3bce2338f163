"""Where a guest's addresses let it go: the clusters that its pools serve, and whether a pool still has an address for it.

Reads the subset only. Claims are made elsewhere; what is free here may be taken a moment later.
"""

from innkeeper.domain.addressing.pool import Pool, PoolInvalidError, understand
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest, Interface
from innkeeper.views.network import IPPoolSpec


class Reach:
    """Answers about one guest at a time."""

    def __init__(self, subset: Subset) -> None:
        self._subset = subset
        self._pools: dict[str, tuple[IPPoolSpec, Pool | None]] = {}

    def clusters(self, guest: Guest) -> frozenset[str] | None:
        """Return the clusters that all of a guest's pools serve; None where any will do.

        A guest that is placed again stays in its cluster: its addresses live there.
        """
        allowed: frozenset[str] | None = None
        for each in guest.spec.interfaces:
            pool = self._subset.pools.get(each.pool)
            if pool is not None and pool.spec.clusters:
                served = frozenset(pool.spec.clusters)
                allowed = served if allowed is None else allowed & served
        if guest.status.cluster is None or not guest.status.addresses:
            return allowed
        own = frozenset({guest.status.cluster})
        return own if allowed is None else own & allowed

    def without_address(self, guest: Guest) -> Interface | None:
        """Return the first interface that has no address and cannot get one, or None."""
        held = {
            (each.spec.owner.interface, each.spec.pool)
            for each in self._subset.addresses_of(guest_id_of(guest))
            if each.spec.owner is not None
        }
        for each in guest.spec.interfaces:
            if (each.name, each.pool) not in held and self.is_exhausted(each.pool):
                return each
        return None

    def is_exhausted(self, name: str) -> bool:
        """Tell whether a pool has no address left, without a walk over every address of it."""
        pool = self.pool(name)
        if pool is None or self._subset.count_of_pool(name) < pool.total:
            return False
        taken = self._subset.addresses_of_pool(name)
        return sum(pool.contains(each.spec.address) for each in taken) >= pool.total

    def pool(self, name: str) -> Pool | None:
        """Return a pool as it is understood; None where there is none, or it cannot be used."""
        found = self._subset.pools.get(name)
        if found is None:
            return None
        known = self._pools.get(name)
        if known is None or known[0] is not found.spec:
            known = self._pools[name] = (found.spec, _understood(found.spec))
        return known[1]


def _understood(spec: IPPoolSpec) -> Pool | None:
    try:
        return understand(spec)
    except PoolInvalidError:
        return None
