"""Every IPAddress as last seen, by guest, pool and namespace, and which numbers of each address space are taken.

An address is taken from its claim until the end of its quarantine. Fed by the subset; it decides nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from typing import TypeVar

from innkeeper.domain.addressing.pool import Pool, number_of
from innkeeper.domain.addressing.taken import Taken
from innkeeper.domain.names import address_name
from innkeeper.views.network import IPAddress

K = TypeVar("K", bound=Hashable)


class Claims:
    """The indices."""

    def __init__(self) -> None:
        self.by_name: dict[str, IPAddress] = {}
        self._of_guest: defaultdict[str, set[str]] = defaultdict(set)
        self._of_pool: defaultdict[str, set[str]] = defaultdict(set)
        self._of_namespace: Counter[tuple[str, str]] = Counter()  # (pool, namespace)
        # (pool, namespace): claims that are being made.
        self._on_their_way: Counter[tuple[str, str]] = Counter()
        self._taken: defaultdict[tuple[str, int], Taken] = defaultdict(Taken)  # (address space, family)

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
        """Return what is taken of the pool's address space, by whichever pool."""
        return self._taken[(pool.space, pool.version)]

    def recount(self, pool: Pool, address: str) -> None:
        """Have `taken` say of one address what is known of it: a claim that was tried may have failed."""
        if address_name(pool.space, address) not in self.by_name:
            self.taken(pool).discard(number_of(address)[1])

    def __iter__(self) -> Iterator[IPAddress]:
        return iter(list(self.by_name.values()))

    def _count(self, name: str, view: IPAddress, step: int) -> None:
        spec = view.spec
        family, number = number_of(spec.address)
        taken = self._taken[(spec.address_space, family)]
        (taken.add if step > 0 else taken.discard)(number)
        _index(self._of_pool, spec.pool, name, step)
        if spec.owner is None:
            return
        _add(self._of_namespace, (spec.pool, spec.owner.namespace), step)
        _index(self._of_guest, spec.owner.id, name, step)


def _add(counter: Counter[K], key: K, step: int) -> None:
    """Count without keeping keys that are back at nothing."""
    counter[key] += step
    if not counter[key]:
        del counter[key]


def _index(table: defaultdict[str, set[str]], key: str, name: str, step: int) -> None:
    """Note a name under a key, or take it away (-1), without keeping keys that are back at nothing."""
    (table[key].add if step > 0 else table[key].discard)(name)
    if not table[key]:
        del table[key]
