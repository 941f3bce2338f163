"""How many addresses of each pool are not free, kept as running sums.

An address counts where it would be given, by its space and number: a pool that took the place of another has the
addresses that guests hold of that one. What no pool gives counts in the pool that it came from.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from innkeeper.domain.addressing.pool import Pool, number_of
from innkeeper.state.pool_catalog import PoolCatalog
from innkeeper.views.network import IPAddress, IPPool

_BLOCK = 256  # numbers that are looked up together
_Block = tuple[str, int, int]  # address space, family, number of the block


@dataclass
class Count:
    """Addresses of one pool that are not free."""

    used: set[str] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)
    outside: int = 0  # of the used ones, those that the pool would not give again
    taken: int = 0  # of the total, reservations and addresses outside are not part of it

    def recount(self, pool: Pool | None) -> None:
        """Count anew beside a pool that changed."""
        self.outside = self.taken = 0
        for address in self.used:
            self.note(pool, address, held=True, step=1)
        for address in self.quarantined:
            self.note(pool, address, held=False, step=1)

    def note(self, pool: Pool | None, address: str, *, held: bool, step: int) -> None:
        """Add one address to the sums, or take it from them (-1)."""
        if pool is None:
            return
        self.taken += step * pool.gives(address)
        self.outside += step * (held and not pool.contains(address))


class PoolCounts:
    """The counts of all pools. `catalog` is kept up to date here."""

    def __init__(self) -> None:
        self.catalog = PoolCatalog()
        self._counts: defaultdict[str, Count] = defaultdict(Count)
        self._home: dict[str, str] = {}  # IPAddress -> the pool where it counts
        self._blocks: defaultdict[_Block, dict[str, IPAddress]] = defaultdict(dict)

    def of(self, pool: str) -> Count:
        """Return the count of a pool."""
        return self._counts[pool]

    def pool_changed(self, name: str, view: IPPool | None) -> bool:
        """Count anew what lies in a pool; return whether spec or labels changed."""
        before = self.catalog.held(name)
        if not self.catalog.put(name, view):
            return False
        concerned = {each.metadata.name: each for each in self._inside(before)}
        concerned |= {each.metadata.name: each for each in self._inside(self.catalog.held(name))}
        self._counts[name].recount(self.catalog.held(name))
        for key, address in concerned.items():
            if self._home[key] != self._home_of(address):
                self._move(address, self._home[key], -1)
                self._move(address, self._settle(address), 1)
        return True

    def address_changed(self, old: IPAddress | None, new: IPAddress | None) -> set[str]:
        """Count an address that was claimed, released or deleted; return the pools whose counts changed."""
        changed = set()
        if old is not None:
            self._blocks[_block_of(old)].pop(old.metadata.name, None)
            home = self._home.pop(old.metadata.name, old.spec.pool)
            self._move(old, home, -1)
            changed.add(home)
        if new is not None:
            self._blocks[_block_of(new)][new.metadata.name] = new
            home = self._settle(new)
            self._move(new, home, 1)
            changed.add(home)
        elif old is not None and not self._blocks[_block_of(old)]:
            del self._blocks[_block_of(old)]
        return changed

    def _settle(self, address: IPAddress) -> str:
        home = self._home[address.metadata.name] = self._home_of(address)
        return home

    def _home_of(self, address: IPAddress) -> str:
        spec = address.spec
        own = self.catalog.held(spec.pool)
        if own is not None and own.space == spec.address_space and own.contains(spec.address):
            return spec.pool
        return self.catalog.place_of(spec.address_space, spec.address) or spec.pool

    def _move(self, address: IPAddress, home: str, step: int) -> None:
        held, count = address.spec.owner is not None, self._counts[home]
        addresses = count.used if held else count.quarantined
        (addresses.add if step > 0 else addresses.discard)(address.spec.address)
        count.note(self.catalog.held(home), address.spec.address, held=held, step=step)

    def _inside(self, pool: Pool | None) -> Iterator[IPAddress]:
        """Yield the addresses that lie in a pool's network; the cost follows the smaller of the two."""
        if pool is None:
            return
        family = pool.version
        first, last = (int(each) // _BLOCK for each in (pool.network[0], pool.network[-1]))
        if last - first < len(self._blocks):
            places = [(pool.space, family, number) for number in range(first, last + 1)]
        else:
            places = [
                each for each in self._blocks if each[:2] == (pool.space, family) and first <= each[2] <= last
            ]
        for place in places:
            for address in list(self._blocks.get(place, {}).values()):
                if pool.contains(address.spec.address):
                    yield address


def _block_of(address: IPAddress) -> _Block:
    family, number = number_of(address.spec.address)
    return address.spec.address_space, family, number // _BLOCK
