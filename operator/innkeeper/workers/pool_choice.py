"""Which pools can give all addresses of a guest at once, and why pools that were asked cannot.

Reads the subset only. Pools can rule each other out: two families on one interface, one VLAN, the last address of a pool.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

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
from innkeeper.workers.shortage import Shortage, Wanted, blocked, canonical

MOST_LOOKS = 256
"""How many pools are asked at most for one set of clusters: pools that rule each other out make many combinations."""

_BESIDE = frozenset({GuestReason.POOLS_OF_ONE_FAMILY, GuestReason.POOLS_OF_TWO_VLANS})
"""Reasons why a pool may not stand beside another one: told only where nothing else stops a guest."""


@dataclass
class Refusals:
    """Why pools that were asked gave nothing: what is told where there is no way, and what to wait for in any case."""

    told: list[tuple[int, Blocked]] = field(default_factory=list)

    def add(self, earlier: Sequence[Wanted], refusal: Blocked) -> None:
        """Note a refusal, and how many wishes had their pools by then."""
        self.told.append((len(earlier), refusal))

    def add_to(self, why: Blocked) -> Blocked:
        """Return why a guest waits, with all that could help it."""
        causes = dict.fromkeys((*why.causes, *(cause for _, each in self.told for cause in each.causes)))
        needs = {cause: need for _, each in self.told for cause, need in each.needs.items()}
        return replace(why, causes=tuple(causes), needs={**needs, **why.needs})

    def as_one(self) -> Blocked:
        """Return why a guest has no addresses: what stopped it where it came furthest, with all that could help it."""
        _, why = max(self.told, key=lambda each: (each[0], each[1].reason not in _BESIDE))
        return self.add_to(why)


@dataclass(frozen=True)
class _Search:
    """One search; `looks` are those that are left."""

    guest: Guest
    refusals: Refusals
    looks: Iterator[int]


class PoolChoice:
    """Answers about one guest at a time."""

    def __init__(self, subset: Subset) -> None:
        self._subset = subset
        self._shortage = Shortage(subset)

    def together(
        self, guest: Guest, within: frozenset[str] | None, refusals: Refusals
    ) -> tuple[Wanted, ...] | None:
        """Return the first addresses, by names of pools, that a guest may have together, or None.

        Pools that labels choose serve one of the clusters `within` (None: all) together with all others.
        """
        # Certain addresses come first: who may have any takes none of them.
        asked = sorted(enumerate(wishes(guest)), key=lambda each: each[1].address is None)
        search = _Search(guest, refusals, iter(range(MOST_LOOKS)))
        found = next(self._combinations(search, [wish for _, wish in asked], within, ()), None)
        if found is None:
            return None
        places = [place for place, _ in asked]
        return tuple(each for _, each in sorted(zip(places, found, strict=True), key=lambda each: each[0]))

    def served(self, name: str) -> frozenset[str] | None:
        """Return the clusters that a pool serves; None where it serves all, or where there is no such pool."""
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

    def served_by_all(self, names: Iterable[str]) -> frozenset[str] | None:
        """Return the clusters that all these pools serve; None where they serve all."""
        found: frozenset[str] | None = None
        for name in names:
            found = both(found, self.served(name))
        return found

    def matching(self, wish: Wish) -> list[str]:
        """Return the pools that have the labels which a wish asks for, by name."""
        catalog = self._subset.pool_catalog
        views = ((name, catalog.view(name)) for name in catalog)
        return [
            name
            for name, view in views
            if view is not None and wish.selector is not None and wish.selector.matches(view.metadata.labels)
        ]

    def _combinations(
        self,
        search: _Search,
        asked: Sequence[Wish],
        within: frozenset[str] | None,
        earlier: tuple[Wanted, ...],
    ) -> Iterator[tuple[Wanted, ...]]:
        """Yield what can be had for the wishes that are left beside what the earlier ones have."""
        if not asked:
            yield earlier
            return
        wish, *rest = asked
        for name in self._candidates(search, wish, within, earlier):
            if next(search.looks, None) is None:
                return
            one = self._from(search.guest, wish, name, earlier=earlier)
            if isinstance(one, Wanted):
                served = both(within, self.served(name))
                yield from self._combinations(search, rest, served, (*earlier, one))
            elif wish.selector is None:
                search.refusals.add(earlier, one)
            else:
                search.refusals.add(earlier, replace(one, causes=(*one.causes, waiting.any_pool())))

    def _candidates(
        self, search: _Search, wish: Wish, within: frozenset[str] | None, earlier: Sequence[Wanted]
    ) -> list[str]:
        if wish.pool is not None:
            return [wish.pool]
        matching = self.matching(wish)
        serving = [name for name in matching if _meets(within, self.served(name))]
        if not serving:
            search.refusals.add(earlier, self._none_serves(search.guest, wish, matching))
        # An address that is held already decides; after that the first pool that can give one.
        return sorted(serving, key=lambda name: self._held(search.guest, wish, name) is None)

    def _none_serves(self, guest: Guest, wish: Wish, matching: Sequence[str]) -> Blocked:
        cluster = cluster_of(guest)
        if (
            matching
            and cluster is not None
            and not any(_meets(frozenset({cluster}), self.served(name)) for name in matching)
        ):
            message = (
                f"no IPPool with the labels that {wish.interface!r} asks for serves the cluster {cluster!r}"
            )
            return blocked(GuestReason.POOL_NOT_SERVING_CLUSTER, message, waiting.any_pool())
        message = (
            f"no IPPool has the labels that {wish.interface!r} asks for and serves a cluster of the others"
        )
        return blocked(GuestReason.POOL_NOT_FOUND, message, waiting.any_pool())

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
        wanted = Wanted(wish.interface, name, pool, canonical(wish.address), held)
        problem = self._not_serving(guest, name) or _not_beside(wanted, earlier)
        if problem is None and held is None:
            problem = self._shortage.of(guest, wanted, earlier)
        return problem or wanted

    def _held(self, guest: Guest, wish: Wish, pool: str) -> IPAddress | None:
        """Return the claim that a guest has for a wish already: it keeps that one, whatever became of the pool."""
        fixed = canonical(wish.address)
        for each in self._subset.claims.of_guest(guest_id_of(guest)):
            owner = each.spec.owner
            is_for_it = owner is not None and owner.interface == wish.interface and each.spec.pool == pool
            if is_for_it and fixed in (None, each.spec.address):
                return each
        return None

    def _not_serving(self, guest: Guest, name: str) -> Blocked | None:
        """A guest that names a cluster needs pools that serve it."""
        cluster, served = cluster_of(guest), self.served(name)
        if cluster is None or served is None or cluster in served:
            return None
        there = ", ".join(sorted(served)) or "no cluster"
        message = f"the IPPool {name!r} serves {there}, not the cluster {cluster!r}"
        return blocked(
            GuestReason.POOL_NOT_SERVING_CLUSTER, message, waiting.spec_of_pool(name), waiting.any_pool()
        )


def _not_beside(wanted: Wanted, earlier: Sequence[Wanted]) -> Blocked | None:
    """Tell why one interface cannot have an address beside those that it has: it is plugged in once."""
    for each in earlier:
        if each.interface != wanted.interface:
            continue
        pools = (waiting.spec_of_pool(each.name), waiting.spec_of_pool(wanted.name))
        if each.pool.version == wanted.pool.version:
            message = (
                f"interface {wanted.interface!r} asks for two addresses of IPv{wanted.pool.version}: take one of each "
                "family"
            )
            return blocked(GuestReason.POOLS_OF_ONE_FAMILY, message, *pools)
        if each.pool.vlan != wanted.pool.vlan:
            message = (
                f"interface {wanted.interface!r} asks for addresses of two VLANs, {each.pool.vlan or 'none'} of the "
                f"IPPool {each.name!r} and {wanted.pool.vlan or 'none'} of {wanted.name!r}: take two interfaces"
            )
            return blocked(GuestReason.POOLS_OF_TWO_VLANS, message, *pools)
    return None


def cluster_of(guest: Guest) -> str | None:
    """Return the cluster that a guest asks for."""
    return guest.spec.placement.cluster if guest.spec.placement else None


def both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """Return the clusters that are in both sets, where None stands for all."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _meets(one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    return one is None or other is None or bool(one & other)
