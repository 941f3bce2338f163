"""Which pools lie around an address: found by its space and its first bits, however many pools there are."""

import ipaddress
from collections import defaultdict

from innkeeper.domain.addressing.pool import Network, Pool

_Place = tuple[str, Network]  # address space, network


class Networks:
    """The networks of pools, by address space."""

    def __init__(self) -> None:
        self._names: defaultdict[_Place, set[str]] = defaultdict(set)
        self._place_of: dict[str, _Place] = {}
        self._prefixes: defaultdict[tuple[str, int], defaultdict[int, int]] = defaultdict(
            lambda: defaultdict(int)
        )  # (space, family) -> prefix length -> pools

    def put(self, name: str, pool: Pool | None) -> None:
        """Note where a pool lies, or that it is gone (None)."""
        old = self._place_of.pop(name, None)
        if old is not None:
            self._count(name, old, -1)
        if pool is not None:
            self._place_of[name] = (pool.space, pool.network)
            self._count(name, (pool.space, pool.network), 1)

    def around(self, space: str, address: str) -> list[str]:
        """Return the names of the pools whose networks an address of a space lies in."""
        found: set[str] = set()
        for prefix in self._prefixes.get((space, ipaddress.ip_address(address).version), {}):
            network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
            found |= self._names.get((space, network), set())
        return sorted(found)

    def _count(self, name: str, place: _Place, step: int) -> None:
        space, network = place
        (self._names[place].add if step > 0 else self._names[place].discard)(name)
        if not self._names[place]:
            del self._names[place]
        pools = self._prefixes[space, network.version]
        pools[network.prefixlen] += step
        if not pools[network.prefixlen]:
            del pools[network.prefixlen]
