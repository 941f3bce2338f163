"""IPPools as they are understood: what each may give, or why it cannot serve. Reading a spec is done once a version."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from innkeeper.domain.addressing.networks import Networks
from innkeeper.domain.addressing.overlaps import Overlap, overlaps
from innkeeper.domain.addressing.pool import Number, Pool, PoolInvalidError, understand
from innkeeper.domain.reasons import PoolReason
from innkeeper.views.network import IPPool


@dataclass(frozen=True)
class Problem:
    """Why a pool gives no address, and what to change."""

    reason: PoolReason
    message: str


class PoolCatalog:
    """Every pool by name. Of two that would give the same address the older one serves."""

    def __init__(self) -> None:
        self._views: dict[str, IPPool] = {}
        self._read: dict[str, Pool | Problem] = {}
        self._networks = Networks()
        self._overlaps: dict[str, Overlap] | None = None

    def put(self, name: str, view: IPPool | None) -> bool:
        """Take the newest version of a pool, or its end (None); return whether spec, labels or age changed."""
        old, before = self._views.pop(name, None), self._read.pop(name, None)
        if view is not None:
            self._views[name] = view
            if before is not None and _age(old) == _age(view) and _written(old) == _written(view):
                self._read[name] = before
                return False
            self._read[name] = _understood(view)
        if _age(old) != _age(view) or before != self._read.get(name):
            self._networks.put(name, self.held(name))
            self._overlaps = None
        return True

    def view(self, name: str) -> IPPool | None:
        """Return a pool as it is written, or None."""
        return self._views.get(name)

    def pool(self, name: str) -> Pool | None:
        """Return what a pool may give to guests; None where there is none, or it cannot serve."""
        found = self.look(name)
        return found if isinstance(found, Pool) else None

    def held(self, name: str) -> Pool | None:
        """Return a pool for guests that hold addresses of it already; an overlap takes nothing from them."""
        found = self._read.get(name)
        return found if isinstance(found, Pool) else None

    def giver(self, space: str, address: Number) -> str | None:
        """Return the one pool that serves an address, be it to the owner of a reservation only; None where none does."""
        return self._first_with(self.pool, space, address)

    def place_of(self, space: str, address: Number) -> str | None:
        """Return the pool that an address is part of, the first by name where pools overlap; None where it is of none."""
        return self._first_with(self.held, space, address)

    def _first_with(self, read: Callable[[str], Pool | None], space: str, address: Number) -> str | None:
        for name in self._networks.around(space, address):
            pool = read(name)
            if pool is not None and pool.contains(address):
                return name
        return None

    def look(self, name: str) -> Pool | Problem | None:
        """Return what a pool may give, or why it cannot serve; None where there is none."""
        found = self._read.get(name)
        clash = self.overlapping().get(name)
        if clash is not None and isinstance(found, Pool):
            return Problem(PoolReason.OVERLAPS, str(clash))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._views))

    def overlapping(self) -> Mapping[str, Overlap]:
        """Return the pools that do not serve because of an older one, each with what they share."""
        if self._overlaps is None:
            oldest_first = sorted(
                self._views, key=lambda name: (self._views[name].metadata.creation_timestamp, name)
            )
            read = ((name, self._read[name]) for name in oldest_first)
            self._overlaps = overlaps((name, pool) for name, pool in read if isinstance(pool, Pool))
        return self._overlaps


def _age(view: IPPool | None) -> str | None:
    return None if view is None else view.metadata.creation_timestamp


def _written(view: IPPool | None) -> object:
    return None if view is None else (view.spec, view.metadata.labels)


def _understood(view: IPPool) -> Pool | Problem:
    try:
        return understand(view.spec)
    except PoolInvalidError as error:
        return Problem(PoolReason.INVALID, str(error))
