"""Which pools a guest's addresses come from, whether they have one for it, and the clusters that they let it go to.

Reads the subset only. Claims are made elsewhere; what is free here may be taken a moment later.
"""

import ipaddress
from dataclasses import dataclass

from innkeeper.domain import names
from innkeeper.domain.addressing.pool import Pool, number_of
from innkeeper.domain.addressing.search import has_free
from innkeeper.domain.addressing.wishes import Wish, wishes
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.domain.scheduling.selectors import Selector
from innkeeper.state import waiting
from innkeeper.state.backlog import rank_of
from innkeeper.state.pool_catalog import Problem
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPAddress

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


@dataclass(frozen=True)
class Wanted:
    """One address that a guest is to have: from which pool, and the claim where it has one."""

    interface: str
    name: str  # of the pool
    pool: Pool
    fixed: str | None
    held: IPAddress | None


class Reach:
    """Answers about one guest at a time."""

    def __init__(self, subset: Subset) -> None:
        self._subset = subset

    def wanted(self, guest: Guest) -> list[Wanted] | Blocked:
        """Return the addresses that a guest is to have, or why it cannot have one of them now."""
        found: list[Wanted] = []
        clusters: frozenset[str] | None = None
        for wish in wishes(guest):
            families = {each.pool.version for each in found if each.interface == wish.interface}
            one = self._choose(guest, wish, clusters=clusters, families=families)
            if isinstance(one, Blocked):
                return one
            found.append(one)
            clusters = _both(clusters, self.served(one.name))
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
        self, guest: Guest, wish: Wish, *, clusters: frozenset[str] | None, families: set[int]
    ) -> Wanted | Blocked:
        if wish.pool is not None:
            return self._from(guest, wish, wish.pool, families=families)
        matching = [name for name in self._subset.pool_catalog if self._matches(wish, name)]
        # An address that is held already decides; after that the first pool that can give one.
        matching.sort(key=lambda name: self._held(guest, wish, name) is None)
        refusals = []
        for name in matching:
            served = self.served(name)
            if clusters is not None and served is not None and not clusters & served:
                continue
            one = self._from(guest, wish, name, families=families)
            if isinstance(one, Wanted):
                return one
            refusals.append(one)
        if refusals:
            causes = {cause for each in refusals for cause in each.causes} | {waiting.any_pool()}
            first = refusals[0]
            return _blocked(first.reason, first.message, *sorted(causes))
        message = (
            f"no IPPool has the labels that {wish.interface!r} asks for and serves a cluster of the others"
        )
        return _blocked(GuestReason.POOL_NOT_FOUND, message, waiting.any_pool())

    def _matches(self, wish: Wish, name: str) -> bool:
        view = self._subset.pool_catalog.view(name)
        return view is not None and wish.selector is not None and wish.selector.matches(view.metadata.labels)

    def _from(self, guest: Guest, wish: Wish, name: str, *, families: set[int]) -> Wanted | Blocked:
        held = self._held(guest, wish, name)
        looked = self._subset.pool_catalog.look(name)
        pool = looked if isinstance(looked, Pool) or held is None else self._subset.pool_catalog.held(name)
        if pool is None:
            return _blocked(
                GuestReason.POOL_NOT_FOUND, f"there is no IPPool {name!r}", waiting.spec_of_pool(name)
            )
        if isinstance(pool, Problem):
            message = f"the IPPool {name!r} cannot be used: {pool.message}"
            return _blocked(GuestReason.POOL_UNUSABLE, message, waiting.spec_of_pool(name))
        if pool.version in families:
            message = f"interface {wish.interface!r} asks for two addresses of IPv{pool.version}: take one of each family"
            return _blocked(GuestReason.POOLS_OF_ONE_FAMILY, message, waiting.spec_of_pool(name))
        wanted = Wanted(wish.interface, name, pool, _canonical(wish.address), held)
        return (None if held is not None else self._shortage(guest, wanted)) or wanted

    def _held(self, guest: Guest, wish: Wish, pool: str) -> IPAddress | None:
        """Return the claim that a guest has for a wish already: it keeps that one, whatever became of the pool."""
        fixed = _canonical(wish.address)
        for each in self._subset.claims.of_guest(guest_id_of(guest)):
            owner = each.spec.owner
            is_for_it = owner is not None and owner.interface == wish.interface and each.spec.pool == pool
            if is_for_it and fixed in (None, each.spec.address):
                return each
        return None

    def _shortage(self, guest: Guest, wanted: Wanted) -> Blocked | None:
        """A guest takes no room on a host before there is an address for it."""
        namespace = guest.metadata.namespace
        most = wanted.pool.max_per_namespace
        if most is not None and self._subset.claims.count_of_namespace(wanted.name, namespace) >= most:
            message = f"namespace {namespace} holds {most} addresses of the IPPool {wanted.name!r}, which is its limit"
            return _blocked(
                GuestReason.POOL_LIMIT_REACHED,
                message,
                *self._causes(wanted),
                waiting.limit(wanted.name, namespace),
            )
        if wanted.fixed is not None:
            return self._not_this_one(guest, wanted, wanted.fixed)
        taken = self._subset.claims.taken(wanted.pool)
        if any(number not in taken for number in wanted.pool.reserved_for(owner_of(guest))):
            return None
        cause, key = waiting.pool(wanted.name), (namespace, guest.metadata.name)
        ahead = self._subset.waiting.before(cause, key, rank_of(guest))
        if has_free(wanted.pool, taken, more_than=ahead):
            return None
        place = f"; {ahead} guests are before this one" if ahead else ""
        message = f"the IPPool {wanted.name!r} has no free address: add a range, or delete guests{place}"
        return _blocked(GuestReason.POOL_EXHAUSTED, message, cause)

    def _not_this_one(self, guest: Guest, wanted: Wanted, fixed: str) -> Blocked | None:
        """Tell why a guest cannot have the very address that it asks for, or None where it can."""
        if not wanted.pool.contains(fixed):
            message = f"{fixed} is no address that the IPPool {wanted.name!r} gives"
            return _blocked(GuestReason.ADDRESS_OUTSIDE_POOL, message, *self._causes(wanted))
        reservation = wanted.pool.reservations.get(number_of(fixed)[1])
        if reservation is not None and reservation.owner != owner_of(guest):
            message = f"{fixed} is reserved for {reservation.owner}: {reservation.reason}"
            return _blocked(GuestReason.ADDRESS_RESERVED, message, *self._causes(wanted))
        name = names.address_name(wanted.pool.space, fixed)
        there = self._subset.claims.by_name.get(name)
        if there is None:
            return None
        causes = (*self._causes(wanted), waiting.address(name))
        owner, user = there.spec.owner, self._used_by(guest, fixed)
        if owner is not None:
            message = f"{fixed} is held by the Guest {owner.namespace}/{owner.name}"
        elif user is not None:
            message = (
                f"the machine {user} on the wire has {fixed}: free it; the wire is asked again after a rest"
            )
            return _blocked(GuestReason.ADDRESS_IN_USE, message, *causes)
        else:
            message = f"{fixed} still rests"
        return _blocked(GuestReason.ADDRESS_TAKEN, message, *causes)

    def _used_by(self, guest: Guest, address: str) -> str | None:
        """Return the MAC that a host found at an address when it refused this guest for it."""
        for each in self._subset.assignments_of(guest_id_of(guest)).values():
            conflict = each.status.conflict
            if conflict is not None and _canonical(conflict.address) == address:
                return conflict.mac
        return None

    @staticmethod
    def _causes(wanted: Wanted) -> tuple[str, ...]:
        return (waiting.spec_of_pool(wanted.name),)

    def _unserved(self, guest: Guest, found: list[Wanted]) -> Blocked | None:
        """A guest that names a cluster needs pools that serve it."""
        cluster = guest.spec.placement.cluster if guest.spec.placement else None
        for each in found:
            served = self.served(each.name)
            if cluster is not None and served is not None and cluster not in served:
                there = ", ".join(sorted(served)) or "no cluster"
                message = f"the IPPool {each.name!r} serves {there}, not the cluster {cluster!r}"
                return _blocked(GuestReason.POOL_NOT_SERVING_CLUSTER, message, *self._causes(each))
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
            return _blocked(GuestReason.POOLS_OF_TWO_VLANS, message, waiting.spec_of_pool(each.name))
    return None


def owner_of(guest: Guest) -> str:
    """Return how a reservation names a guest."""
    return f"{guest.metadata.namespace}/{guest.metadata.name}"


def _blocked(reason: GuestReason, message: str, *causes: str) -> Blocked:
    return Blocked(step=ConditionType.ADDRESSES_ASSIGNED, reason=reason, message=message, causes=causes)


def _named(guest: Guest) -> set[str]:
    return {wish.pool for wish in wishes(guest) if wish.pool is not None}


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _canonical(address: str | None) -> str | None:
    """Return an address as objects name it: a manifest may write IPv6 in another way."""
    return None if address is None else str(ipaddress.ip_address(address))
