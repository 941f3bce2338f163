"""Which pools lie around an address: found by its space and its first bits, however many pools there are."""

from collections import defaultdict

from innkeeper.domain.addressing.pool import Number, Pool

_BITS = {4: 32, 6: 128}
_Place = tuple[str, int, int, int]  # address space, family, prefix length, first number of the network


class Networks:
    """The networks of pools, by address space."""

    def __init__(self) -> None:
        self._names: defaultdict[_Place, set[str]] = defaultdict(set)
        self._place_of: dict[str, _Place] = {}
        # (space, family) -> prefix length -> pools.
        self._prefixes: defaultdict[tuple[str, int], defaultdict[int, int]] = defaultdict(
            lambda: defaultdict(int)
        )

    def put(self, name: str, pool: Pool | None) -> None:
        """Note where a pool lies, or that it is gone (None)."""
        old = self._place_of.pop(name, None)
        if old is not None:
            self._count(name, old, -1)
        if pool is not None:
            place = (pool.space, pool.version, pool.network.prefixlen, pool.bounds[0])
            self._place_of[name] = place
            self._count(name, place, 1)

    def around(self, space: str, address: Number) -> list[str]:
        """Return the names of the pools whose networks an address of a space lies in."""
        family, number = address
        found: set[str] = set()
        for prefix in self._prefixes.get((space, family), {}):
            host_bits = _BITS[family] - prefix
            found |= self._names.get((space, family, prefix, number >> host_bits << host_bits), set())
        return sorted(found)

    def _count(self, name: str, place: _Place, step: int) -> None:
        space, family, prefix, _ = place
        (self._names[place].add if step > 0 else self._names[place].discard)(name)
        if not self._names[place]:
            del self._names[place]
        pools = self._prefixes[space, family]
        pools[prefix] += step
        if not pools[prefix]:
            del pools[prefix]
