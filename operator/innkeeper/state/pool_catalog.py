"""IPPools as they are understood: what each may give, or why it cannot serve. Reading a spec is done once a version."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from innkeeper.domain.addressing.networks import Networks
from innkeeper.domain.addressing.overlaps import Overlap, Where, overlaps, segments, segments_of
from innkeeper.domain.addressing.pool import V4, V6, Number, Pool, PoolInvalidError, number_of, understand
from innkeeper.domain.reasons import PoolReason
from innkeeper.views.network import IPAddress, IPPool


@dataclass(frozen=True)
class Problem:
    """Why a pool gives no address, and what to change."""

    reason: PoolReason
    message: str


class PoolCatalog:
    """Every pool by name. Of two that would give the same address the older one serves.

    One that is being deleted gives no address anew, and keeps no other pool from serving.
    """

    def __init__(self) -> None:
        self._views: dict[str, IPPool] = {}
        self._read: dict[str, Pool | Problem] = {}
        self._networks = Networks()
        self._overlaps: dict[str, Overlap] | None = None
        self._on_segment: dict[Where, set[str]] | None = None
        self.version = 0  # goes up with every change of what the pools may give, and where

    def put(self, name: str, view: IPPool | None) -> bool:
        """Take the newest version of a pool, or its end (None); return whether spec, labels or age changed."""
        old, before = self._views.pop(name, None), self._read.pop(name, None)
        if view is not None:
            self._views[name] = view
            if before is not None and _age(old) == _age(view) and _written(old) == _written(view):
                self._read[name] = before
                return False
            self._read[name] = _understood(view)
        if (_age(old), _goes(old), _place(old)) != (
            _age(view),
            _goes(view),
            _place(view),
        ) or before != self._read.get(name):
            self._networks.put(name, self.held(name))
            self._overlaps = self._on_segment = None
            self.version += 1
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

    def offered(self, name: str) -> object:
        """Return where a pool serves, whose wishes mean it, and whether it can be used, whatever it gives."""
        view = self._views.get(name)
        if view is None:
            return None
        spec, is_usable = view.spec, isinstance(self._read[name], Pool)
        return spec.clusters, spec.cluster_selector, view.metadata.labels, _goes(view), is_usable

    def giver(self, space: str, address: Number) -> str | None:
        """Return the one pool that serves an address, be it to the owner of a reservation only; None where none does."""
        return self._first_with(self.pool, space, address)

    def may_give(self, address: IPAddress) -> set[str]:
        """Return the pools that may give an address once it is free: who serves it, and whom the claim kept from it."""
        spec = address.spec
        giver = self.giver(spec.address_space, number_of(spec.address))
        return {giver or spec.pool, *self.kept_from(spec.pool, spec.address_space)}

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
        if isinstance(found, Pool) and _goes(self._views[name]):
            return Problem(PoolReason.DELETED, "it is being deleted: take another pool")
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
            read = ((name, self._read[name]) for name in oldest_first if not _goes(self._views[name]))
            self._overlaps = overlaps((name, pool) for name, pool in read if isinstance(pool, Pool))
        return self._overlaps

    def is_there(self, name: str, space: str) -> bool:
        """Tell whether there is a pool of that name and address space, be it one that cannot serve."""
        view = self._views.get(name)
        return view is not None and view.spec.address_space == space

    def meeting(self, pool: Pool) -> Iterator[tuple[str, str]]:
        """Yield the pools of other address spaces, each with its space, whose guests meet those of a pool.

        They meet in one cluster and VLAN. One that is invalid has its guests where its spec says.
        """
        return self._meeting(segments(pool), pool.space)

    def kept_from(self, name: str, space: str) -> Iterator[str]:
        """Yield the pools of other spaces that give no address which is claimed of a pool: all, where it is not there."""
        if not self.is_there(name, space):
            return iter(self)
        return (other for other, _ in self._meeting(self._segments(name), space))

    def _meeting(self, places: Iterable[Where], space: str) -> Iterator[tuple[str, str]]:
        if self._on_segment is None:
            found: defaultdict[Where, set[str]] = defaultdict(set)
            for name in self._views:
                for where in self._segments(name):
                    found[where].add(name)
            self._on_segment = dict(found)
        for name in sorted({each for where in places for each in self._on_segment.get(where, ())}):
            other = self._views[name].spec.address_space
            if other != space:
                yield name, other

    def _segments(self, name: str) -> Iterator[Where]:
        read, spec = self._read[name], self._views[name].spec
        if isinstance(read, Pool):
            yield from segments(read)
        elif spec.cluster_selector is None:
            # What is wrong may be its network, and with it the family.
            for family in (V4, V6):
                yield from segments_of(family, clusters=spec.clusters or (), vlan=spec.vlan)


def _age(view: IPPool | None) -> str | None:
    return None if view is None else view.metadata.creation_timestamp


def _goes(view: IPPool | None) -> bool:
    return view is not None and view.metadata.deletion_timestamp is not None


def _place(view: IPPool | None) -> object:
    """Where its guests are, also while it is invalid."""
    if view is None:
        return None
    spec = view.spec
    return spec.address_space, spec.vlan, spec.clusters, spec.cluster_selector is None


def _written(view: IPPool | None) -> object:
    return None if view is None else (view.spec, view.metadata.labels, _goes(view))


def _understood(view: IPPool) -> Pool | Problem:
    try:
        return understand(view.spec)
    except PoolInvalidError as error:
        return Problem(PoolReason.INVALID, str(error))
