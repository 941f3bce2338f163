"""Which pools can give all addresses of a guest at once, and why pools that were asked cannot.

Reads the subset only. Pools can rule each other out: two families on one interface, one VLAN, the last address of a pool.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from innkeeper.domain.addressing.pool import Pool
from innkeeper.domain.addressing.wishes import Wish, wishes
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.reasons import GuestReason
from innkeeper.state import waiting
from innkeeper.state.pool_catalog import Problem
from innkeeper.state.served_clusters import both
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPAddress
from innkeeper.workers.shortage import Shortage, Wanted, blocked, canonical

MOST_LOOKS = 256
"""How many pools are tried at most beside others for one set of clusters, as pools that rule each other out make many
combinations. Pools that could give nothing by themselves are not counted: each is asked once."""

_BESIDE = frozenset({GuestReason.POOLS_OF_ONE_FAMILY, GuestReason.POOLS_OF_TWO_VLANS})
"""Reasons why a pool may not stand beside another one: told only where nothing else stops a guest."""


@dataclass
class Refusals:
    """Why pools that were asked gave nothing: what is told where there is no way, and what to wait for in any case."""

    told: list[tuple[int, Blocked]] = field(default_factory=list)
    left_out: list[tuple[Sequence[str], Mapping[str, int]]] = field(default_factory=list)  # causes and needs
    is_cut_short: bool = False

    def add(self, earlier: Sequence[Wanted], refusal: Blocked) -> None:
        """Note a refusal, and how many wishes had their pools by then."""
        self.told.append((len(earlier), refusal))

    def add_to(self, why: Blocked) -> Blocked:
        """Return why a guest waits, with all that could help it."""
        others = [*((each.causes, each.needs) for _, each in self.told), *self.left_out]
        causes = dict.fromkeys((*why.causes, *(cause for each, _ in others for cause in each)))
        needs = {cause: need for _, each in others for cause, need in each.items()}
        return replace(why, causes=tuple(causes), needs={**needs, **why.needs})

    def as_one(self) -> Blocked:
        """Return why a guest has no addresses: what stopped it where it came furthest, with all that could help it."""
        _, why = max(self.told, key=lambda each: (each[0], each[1].reason not in _BESIDE))
        if self.is_cut_short:
            cut = f"{why.message}; its pools make more combinations than the {MOST_LOOKS} that were tried"
            why = replace(why, message=cut)
        return self.add_to(why)


@dataclass
class Search:
    """What is known of one guest's pools while they are looked at, for all sets of clusters together."""

    guest: Guest
    refusals: Refusals
    asked: Sequence[Wish]
    places: Sequence[int]  # of the wishes in the guest's own order
    held: Sequence[
        Mapping[str, int]
    ]  # for each wish, the pools that it has an address of already, the first one first
    kept: Sequence[Sequence[str]]  # those of them that it is bound to and that labels do not choose any more
    # By wish: the pools that could give nothing by themselves, and the clusters where all of them are such.
    useless: set[tuple[int, str]] = field(default_factory=set)
    empty: set[tuple[int, frozenset[str] | None]] = field(default_factory=set)
    cut_at: set[int] = field(default_factory=set)  # wishes for which not all pools were tried
    left: int = MOST_LOOKS


class PoolChoice:
    """Answers about one guest at a time."""

    def __init__(self, subset: Subset) -> None:
        self._subset = subset
        self._shortage = Shortage(subset)

    def begin(self, guest: Guest, refusals: Refusals) -> Search:
        """Begin to look at a guest's pools."""
        # Certain addresses come first: who may have any takes none of them.
        placed = sorted(enumerate(wishes(guest)), key=lambda each: each[1].address is None)
        asked = [wish for _, wish in placed]
        held = [self._pools_of(guest, wish) for wish in asked]
        kept = [self._kept(guest, nth, asked, held[nth]) for nth in range(len(asked))]
        return Search(guest, refusals, asked, [place for place, _ in placed], held, kept)

    def _pools_of(self, guest: Guest, wish: Wish) -> Mapping[str, int]:
        """Return the pools of what a guest has for a wish already, in the order in which it is bound to them."""
        uses = ((each.interface, each.address) for each in guest.status.addresses)
        bound = {use: place for place, use in enumerate(uses)}
        claims = sorted(
            self._claims_for(guest, wish),
            key=lambda each: (bound.get((wish.interface, each.spec.address), len(bound)), each.spec.pool),
        )
        return {each.spec.pool: place for place, each in enumerate(claims)}

    def _kept(self, guest: Guest, nth: int, asked: Sequence[Wish], held: Iterable[str]) -> Sequence[str]:
        """Return the pools that a guest is bound to for a wish and that no wish of the interface chooses any more.

        What another one chooses is left to it: a wish for IPv4 must not take the address that one for IPv6 has.
        """
        interface = asked[nth].interface
        if asked[nth].selector is None:
            return ()
        bound = {each.pool for each in guest.status.addresses if each.interface == interface}
        wished = [each for each in asked if each.interface == interface]
        return [
            each for each in held if each in bound and not any(self._chooses(one, each) for one in wished)
        ]

    def _chooses(self, wish: Wish, name: str) -> bool:
        if wish.selector is None:
            return wish.pool == name
        return name in self._subset.served.labelled(wish.selector).names

    def together(self, search: Search, within: frozenset[str] | None) -> tuple[Wanted, ...] | None:
        """Return the first addresses, by names of pools, that a guest may have together, or None.

        Pools that labels choose serve one of the clusters `within` (None: all) together with all others.
        """
        search.left = MOST_LOOKS
        found = next(self._combinations(search, within, ()), None)
        if found is None:
            return None
        in_order = sorted(zip(search.places, found, strict=True), key=lambda each: each[0])
        return tuple(each for _, each in in_order)

    def _combinations(
        self, search: Search, within: frozenset[str] | None, earlier: tuple[Wanted, ...]
    ) -> Iterator[tuple[Wanted, ...]]:
        """Yield what can be had for the wishes that are left beside what the earlier ones have."""
        nth = len(earlier)
        if nth == len(search.asked):
            yield earlier
            return
        names = self._candidates(search, within, earlier)
        for at, name in enumerate(names):
            if (nth, name) in search.useless:
                continue
            one = self._from(search, name, earlier)
            if isinstance(one, Blocked) and self._is_useless(search, name, earlier, one):
                continue
            if search.left == 0:
                self._cut_short(search, names[at:], nth)
                return
            search.left -= 1
            if isinstance(one, Wanted):
                served = both(within, self._subset.served.of(name))
                yield from self._combinations(search, served, (*earlier, one))

    def _is_useless(self, search: Search, name: str, earlier: Sequence[Wanted], refusal: Blocked) -> bool:
        """Note why a pool gives nothing; tell whether it would give nothing by itself either, whatever is beside it."""
        nth = len(earlier)
        is_beside = bool(earlier) and isinstance(self._from(search, name, (), nth=nth), Wanted)
        # Beside another pool with the labels of an earlier wish it may give one.
        open_wishes = search.asked[0 if is_beside else nth : nth + 1]
        by_labels = any(each.selector is not None for each in open_wishes)
        causes = (*refusal.causes, waiting.any_pool()) if by_labels else refusal.causes
        search.refusals.add(earlier, replace(refusal, causes=causes))
        if not is_beside:
            search.useless.add((nth, name))
        return not is_beside

    def _cut_short(self, search: Search, left_out: Sequence[str], nth: int) -> None:
        """Too many combinations: whatever happens to the pools that are left out may help as well."""
        search.refusals.is_cut_short = True
        if nth in search.cut_at:
            return
        search.cut_at.add(nth)
        for name in left_out:
            one = self._from(search, name, (), nth=nth)
            causes = (waiting.spec_of_pool(name),) if isinstance(one, Wanted) else one.causes
            needs = {} if isinstance(one, Wanted) else one.needs
            search.refusals.left_out.append((causes, needs))

    def _candidates(
        self, search: Search, within: frozenset[str] | None, earlier: Sequence[Wanted]
    ) -> Sequence[str]:
        nth = len(earlier)
        wish = search.asked[nth]
        if wish.pool is not None:
            return (wish.pool,)
        if (nth, within) in search.empty:
            return ()
        serving = self._subset.served.serving(wish.selector, within) if wish.selector is not None else ()
        kept = [each for each in search.kept[nth] if self._serves(each, within)]
        if not serving and not kept:
            search.refusals.add(earlier, self._none_serves(search.guest, wish))
        if all((nth, name) in search.useless for name in (*kept, *serving)):
            search.empty.add((nth, within))
            return ()
        # An address that is held already decides; after that the first pool that can give one.
        held = search.held[nth]
        return sorted((*kept, *serving), key=lambda name: held.get(name, len(held))) if held else serving

    def _serves(self, name: str, within: frozenset[str] | None) -> bool:
        return both(within, self._subset.served.of(name)) != frozenset()

    def _none_serves(self, guest: Guest, wish: Wish) -> Blocked:
        cluster = cluster_of(guest)
        labelled = self._subset.served.labelled(wish.selector) if wish.selector is not None else None
        if labelled is not None and labelled.names and cluster is not None and not labelled.at(cluster):
            message = (
                f"no IPPool with the labels that {wish.interface!r} asks for serves the cluster {cluster!r}"
            )
            return blocked(GuestReason.POOL_NOT_SERVING_CLUSTER, message, waiting.any_pool())
        message = (
            f"no IPPool has the labels that {wish.interface!r} asks for and serves a cluster of the others"
        )
        return blocked(GuestReason.POOL_NOT_FOUND, message, waiting.any_pool())

    def _from(
        self, search: Search, name: str, earlier: Sequence[Wanted], *, nth: int | None = None
    ) -> Wanted | Blocked:
        """Return what a pool gives for a wish, the next one after `earlier` if it is not told."""
        nth = len(earlier) if nth is None else nth
        guest, wish = search.guest, search.asked[nth]
        held = next((each for each in self._claims_for(guest, wish) if each.spec.pool == name), None)
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

    def _claims_for(self, guest: Guest, wish: Wish) -> Iterator[IPAddress]:
        """Yield what a guest has for a wish already: it keeps that, whatever became of the pool."""
        fixed = canonical(wish.address)
        for each in self._subset.claims.of_guest(guest_id_of(guest)):
            owner = each.spec.owner
            if owner is not None and owner.interface == wish.interface and fixed in (None, each.spec.address):
                yield each

    def _not_serving(self, guest: Guest, name: str) -> Blocked | None:
        """A guest that names a cluster needs pools that serve it."""
        cluster, served = cluster_of(guest), self._subset.served.of(name)
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
