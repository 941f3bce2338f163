"""Every IPAddress as last seen, by guest, pool and namespace, and which numbers of each address space are taken.

An address is taken from its claim until the end of its quarantine. So is the same number in another address space where
machines of both would meet: the claim outlives what its pool says of clusters, and the pool itself. Fed by the subset; it
decides nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from typing import TypeVar

from innkeeper.domain.addressing.pool import Number, Pool, number_of
from innkeeper.domain.addressing.taken import Taken, TakenTogether
from innkeeper.domain.names import address_name
from innkeeper.state.pool_catalog import PoolCatalog
from innkeeper.views.network import IPAddress

K = TypeVar("K", bound=Hashable)


class Claims:
    """The indices. `catalog` holds the pools that are there."""

    def __init__(self, catalog: PoolCatalog) -> None:
        self._catalog = catalog
        self.by_name: dict[str, IPAddress] = {}
        self._of_guest: defaultdict[str, set[str]] = defaultdict(set)
        self._of_pool: defaultdict[str, set[str]] = defaultdict(set)
        self._of_namespace: Counter[tuple[str, str]] = Counter()  # (pool, namespace)
        # (pool, namespace): claims that are being made.
        self._on_their_way: Counter[tuple[str, str]] = Counter()
        self._taken: defaultdict[tuple[str, int], Taken] = defaultdict(Taken)  # (address space, family)
        self._taken_of: dict[tuple[str, str, int], Taken] = {}  # (pool, address space, family)
        self._sources: Counter[tuple[str, str]] = Counter()  # (pool, address space)
        self._held: Counter[tuple[str, str]] = Counter()  # the same, without what rests
        # Those of which there is no such pool, and by which version of the catalog; None where it is to be looked for.
        self._homeless: tuple[int, set[tuple[str, str]]] | None = None

    def put(self, name: str, view: IPAddress | None) -> IPAddress | None:
        """Take the newest version of an IPAddress, or its end (None); return the version before."""
        old = self.by_name.pop(name, None)
        if old is not None:
            self._count(name, old, -1)
        if view is not None:
            self.by_name[name] = view
            self._count(name, view, 1)
        return old

    def of_guest(self, guest_id: str) -> list[IPAddress]:
        """Return the addresses that a guest holds, bound or claimed."""
        return [self.by_name[name] for name in sorted(self._of_guest.get(guest_id, ()))]

    def count_of_pool(self, pool: str) -> int:
        """Return how many addresses of a pool are claimed or at rest."""
        return len(self._of_pool.get(pool, ()))

    def held_of_pool(self, pool: str) -> int:
        """Return how many addresses of a pool guests hold, claims on their way included; none that rests."""
        coming = sum(count for (name, _), count in self._on_their_way.items() if name == pool)
        return coming + sum(count for (name, _), count in self._of_namespace.items() if name == pool)

    def guests_of_pool(self, pool: str) -> set[str]:
        """Return the Guest IDs that hold addresses of a pool."""
        owners = (self.by_name[name].spec.owner for name in self._of_pool.get(pool, ()))
        return {owner.id for owner in owners if owner is not None}

    def count_of_namespace(self, pool: str, namespace: str) -> int:
        """Return how many addresses of a pool the guests of a namespace hold, claims on their way included."""
        return self._of_namespace[(pool, namespace)] + self._on_their_way[(pool, namespace)]

    def begin(self, pool: str, namespace: str) -> None:
        """Count a claim that is about to be made: who looks meanwhile must not see its place as free."""
        _add(self._on_their_way, (pool, namespace), 1)

    def end(self, pool: str, namespace: str) -> None:
        """Count it no longer: it was made, and is counted as such, or it failed."""
        _add(self._on_their_way, (pool, namespace), -1)

    def taken(self, pool: Pool) -> Taken:
        """Return what is taken of the pool's address space, by whichever pool, and where its guests would meet others."""
        own, elsewhere = self._taken[(pool.space, pool.version)], self._elsewhere(pool)
        there = [
            self._taken_of[(*each, pool.version)]
            for each in elsewhere
            if (*each, pool.version) in self._taken_of
        ]
        return TakenTogether(own, there) if there else own

    def holding(self, pool: Pool, address: str) -> IPAddress | None:
        """Return the claim, or what rests, that keeps a pool from giving an address; None where nothing does."""
        own = self.by_name.get(address_name(pool.space, address))
        return own or self._at(pool, number_of(address)[1], self._elsewhere(pool))

    def kept_from(self, name: str) -> set[str]:
        """Return the pools of other spaces that must not give what is claimed of a pool."""
        spaces = {space for pool, space in self._sources if pool == name}
        return {each for space in spaces for each in self._catalog.kept_from(name, space)}

    def hinders_others(self, claim: IPAddress) -> bool:
        """Tell whether a claim may keep other spaces from its number: what rests does while its pool is there."""
        return claim.spec.owner is not None or self._catalog.is_there(
            claim.spec.pool, claim.spec.address_space
        )

    def recount(self, pool: Pool, address: str) -> None:
        """Have `taken` say of one address what is known of it: a claim that was tried may have failed."""
        if address_name(pool.space, address) not in self.by_name:
            self._taken[(pool.space, pool.version)].discard(number_of(address)[1])

    def __iter__(self) -> Iterator[IPAddress]:
        return iter(list(self.by_name.values()))

    def _elsewhere(self, pool: Pool) -> set[tuple[str, str]]:
        """Return the pools of other spaces, each with its space, whose claims this pool must not give again.

        Of a claim whose pool is not there nobody knows where its guest is: it counts everywhere. A pool that was deleted
        has no guests, and what rests of it keeps its address from its own space alone.
        """
        if self._homeless is None or self._homeless[0] != self._catalog.version:
            self._homeless = (
                self._catalog.version,
                {each for each in self._held if not self._catalog.is_there(*each)},
            )
        found = {*self._catalog.meeting(pool), *self._homeless[1]}
        return {each for each in found if each[1] != pool.space and each in self._sources}

    def _at(self, pool: Pool, number: int, elsewhere: set[tuple[str, str]]) -> IPAddress | None:
        text = pool.text(number) if elsewhere else ""
        for space in sorted({space for _, space in elsewhere}):
            there = self.by_name.get(address_name(space, text))
            if there is not None and (there.spec.pool, space) in elsewhere:
                return there
        return None

    def _count(self, name: str, view: IPAddress, step: int) -> None:
        spec = view.spec
        family, number = number_of(spec.address)
        taken = self._taken[(spec.address_space, family)]
        (taken.add if step > 0 else taken.discard)(number)
        self._note_of(spec.pool, spec.address_space, (family, number), step)
        _index(self._of_pool, spec.pool, name, step)
        _add(self._sources, (spec.pool, spec.address_space), step)
        if spec.owner is None:
            return
        known = len(self._held)
        _add(self._held, (spec.pool, spec.address_space), step)
        if known != len(self._held):
            self._homeless = None
        _add(self._of_namespace, (spec.pool, spec.owner.namespace), step)
        _index(self._of_guest, spec.owner.id, name, step)

    def _note_of(self, pool: str, space: str, address: Number, step: int) -> None:
        """Note what is taken of one pool, too: others of its space may be where no other space is met."""
        family, number = address
        key = pool, space, family
        # An empty one stays: a choice under way may hold it, and has to see what comes into it.
        taken = self._taken_of.get(key)
        if taken is None:
            taken = self._taken_of[key] = Taken()
        (taken.add if step > 0 else taken.discard)(number)


def _add(counter: Counter[K], key: K, step: int) -> None:
    """Count without keeping keys that are back at nothing."""
    count = counter.get(key, 0) + step
    if count:
        counter[key] = count
    else:
        counter.pop(key, None)


def _index(table: defaultdict[str, set[str]], key: str, name: str, step: int) -> None:
    """Note a name under a key, or take it away (-1), without keeping keys that are back at nothing."""
    names = table[key]
    if step > 0:
        names.add(name)
        return
    names.discard(name)
    if not names:
        del table[key]
