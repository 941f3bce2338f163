"""How many addresses of each pool are not free, kept as running sums.

An address counts where it would be given, by its space and number: a pool that took the place of another has the
addresses that guests hold of that one. What no pool gives counts in the pool that it came from, as outside. Fed with
watched objects; an address is read when it changes, not when pools do.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from innkeeper.domain.addressing.pool import Number, Pool, number_of
from innkeeper.state.pool_catalog import PoolCatalog
from innkeeper.views.network import IPAddress, IPPool

_BLOCK = 256  # numbers that are looked up together
_Block = tuple[str, int, int]  # address space, family, number of the block


class Counted(NamedTuple):
    """One address of one space: an IPAddress, whose name says the same."""

    space: str
    number: Number

    @classmethod
    def of(cls, address: IPAddress) -> Self:
        """Return what an IPAddress counts as."""
        return cls(address.spec.address_space, number_of(address.spec.address))

    @property
    def block(self) -> _Block:
        """Where it is found."""
        family, number = self.number
        return self.space, family, number // _BLOCK

    def is_given_by(self, pool: Pool) -> bool:
        """Tell whether a pool may give it to anybody."""
        return self.space == pool.space and pool.gives(self.number)

    def is_part_of(self, pool: Pool) -> bool:
        """Tell whether a pool may give it, be it to the owner of a reservation only."""
        return self.space == pool.space and pool.contains(self.number)


@dataclass
class Count:
    """Addresses of one pool that are not free."""

    used: set[Counted] = field(default_factory=set)
    quarantined: set[Counted] = field(default_factory=set)
    outside: int = 0  # of the used ones, those that the pool would not give again
    taken: int = 0  # of the total, reservations and addresses outside are not part of it

    def recount(self, pool: Pool | None) -> None:
        """Count anew beside a pool that changed."""
        self.outside = self.taken = 0
        for address in self.used:
            self.note(pool, address, held=True, step=1)
        for address in self.quarantined:
            self.note(pool, address, held=False, step=1)

    def note(self, pool: Pool | None, address: Counted, *, held: bool, step: int) -> None:
        """Add one address to the sums, or take it from them (-1)."""
        if pool is None:
            return
        self.taken += step * address.is_given_by(pool)
        self.outside += step * (held and not address.is_part_of(pool))


class PoolCounts:
    """The counts of all pools. `catalog` is kept up to date here."""

    def __init__(self) -> None:
        self.catalog = PoolCatalog()
        self._counts: defaultdict[str, Count] = defaultdict(Count)
        self._home: dict[Counted, str] = {}  # the pool where it counts
        self._blocks: defaultdict[_Block, dict[Counted, IPAddress]] = defaultdict(dict)

    def of(self, pool: str) -> Count:
        """Return the count of a pool."""
        return self._counts[pool]

    def pool_changed(self, name: str, view: IPPool | None) -> bool:
        """Count anew what lies in a pool that gives other addresses; return whether spec, labels or age changed."""
        before = self.catalog.held(name)
        if not self.catalog.put(name, view):
            return False
        after = self.catalog.held(name)
        if before == after:
            return True
        concerned = {**dict(self._inside(before)), **dict(self._inside(after))}
        self._counts[name].recount(after)
        for address, seen in concerned.items():
            home = self._home_of(address, seen)
            if self._home[address] != home:
                self._move(address, seen, self._home[address], -1)
                self._settle(address, seen, home)
        return True

    def address_changed(self, old: IPAddress | None, new: IPAddress | None) -> set[str]:
        """Count an address that was claimed, released or deleted; return the pools whose counts changed."""
        changed = set()
        if old is not None:
            address = Counted.of(old)
            home = self._home.pop(address, old.spec.pool)
            self._move(address, old, home, -1)
            self._forget(address)
            changed.add(home)
        if new is not None:
            address = Counted.of(new)
            home = self._home_of(address, new)
            self._blocks[address.block][address] = new
            self._settle(address, new, home)
            changed.add(home)
        return changed

    def _home_of(self, address: Counted, seen: IPAddress) -> str:
        own = self.catalog.held(seen.spec.pool)
        if own is not None and address.is_part_of(own):
            return seen.spec.pool
        return self.catalog.place_of(address.space, address.number) or seen.spec.pool

    def _settle(self, address: Counted, seen: IPAddress, home: str) -> None:
        self._home[address] = home
        self._move(address, seen, home, 1)

    def _move(self, address: Counted, seen: IPAddress, home: str, step: int) -> None:
        held, count = seen.spec.owner is not None, self._counts[home]
        addresses = count.used if held else count.quarantined
        (addresses.add if step > 0 else addresses.discard)(address)
        count.note(self.catalog.held(home), address, held=held, step=step)

    def _forget(self, address: Counted) -> None:
        block = self._blocks[address.block]
        block.pop(address, None)
        if not block:
            del self._blocks[address.block]

    def _inside(self, pool: Pool | None) -> Iterator[tuple[Counted, IPAddress]]:
        """Yield the addresses that lie in a pool's network; the cost follows the smaller of the two."""
        if pool is None:
            return
        family = pool.version
        first, last = (number // _BLOCK for number in pool.bounds)
        if last - first < len(self._blocks):
            places = [(pool.space, family, number) for number in range(first, last + 1)]
        else:
            places = [
                each for each in self._blocks if each[:2] == (pool.space, family) and first <= each[2] <= last
            ]
        for place in places:
            for address, seen in self._blocks.get(place, {}).items():
                if address.is_part_of(pool):
                    yield address, seen
