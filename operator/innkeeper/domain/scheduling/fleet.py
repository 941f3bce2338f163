"""All hosts as arrays, one row a host: what may be promised and is free, where each stands, and which guests it has.

A decision reads it between two changes, so it is the snapshot and costs no copy. It is fed with facts; a promise is
noted (`reserve`) before it is written and taken back (`release`) where the write fails. It counts its changes, so that
what was worked out before can be told from what is out of date.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.columns import Bools, LabelColumns, RowNumbers, grown
from innkeeper.domain.scheduling.crowd import Crowd
from innkeeper.domain.scheduling.facts import ClusterFacts, HostFacts, Resident
from innkeeper.domain.scheduling.gains import Gains
from innkeeper.domain.scheduling.held_images import HeldImages
from innkeeper.views.placement import CLUSTER_TOPOLOGY, HOST_TOPOLOGY, Taint

Made = TypeVar("Made")
Column = TypeVar("Column", bound="np.generic[Any]")

# One bit a row for each thing that is either so or not.
PRESENT, LEAVING, NOT_READY, MAINTENANCE, UNSCHEDULABLE = (1 << bit for bit in range(5))
BLOCK = 1024
_FIRST_ROWS = 64
_MAX_MEMO = 1024


class Rows:
    """Some rows of a fleet, as rules see them: a range, or numbers in rising order."""

    __slots__ = ("_slice", "fleet", "numbers")

    def __init__(self, fleet: "Fleet", numbers: range | RowNumbers) -> None:
        self.fleet = fleet
        self.numbers = numbers
        self._slice = slice(numbers.start, numbers.stop) if isinstance(numbers, range) else None

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, column: NDArray[Column]) -> NDArray[Column]:
        """Return the part of a column that belongs to these rows."""
        if self._slice is not None:
            return column[self._slice]
        return column.take(self.numbers)

    def where(self, chosen: Bools) -> RowNumbers:
        """Return the numbers of the rows that a mask over these rows chooses."""
        if isinstance(self.numbers, range):
            return np.flatnonzero(chosen) + self.numbers.start
        return self.numbers[chosen]

    def ids(self, key: str) -> NDArray[np.int32] | None:
        """Return the numbers of the values of a label, or None where no host has it."""
        column = self.fleet.labels.column(key)
        return None if column is None else self.of(column.ids)

    def counts(self, tally: Any, key: str) -> NDArray[np.int32]:
        """Return how many guests of a tally each row's place has."""
        found: NDArray[np.int32] = tally.at(key, self.numbers)
        return found


class Fleet:
    """Every host that is known, and every promise."""

    def __init__(self, *, block: int = BLOCK) -> None:
        self.block = block
        self.names: list[str | None] = []
        self.row_of: dict[str, int] = {}
        self.clusters: dict[str, ClusterFacts] = {}
        self.taint_sets: list[tuple[Taint, ...]] = [()]
        self.flags = np.zeros(_FIRST_ROWS, dtype=np.uint8)
        self.taints = np.zeros(_FIRST_ROWS, dtype=np.int32)
        self.allocatable = np.zeros((3, _FIRST_ROWS), dtype=np.int64)
        self.free = np.zeros((3, _FIRST_ROWS), dtype=np.int64)
        self.changed_at = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.crowd = Crowd()
        self.labels = LabelColumns(_FIRST_ROWS, self.crowd.moved)
        self.crowd.follow(self.labels)
        self.images = HeldImages()
        self.change = 0  # counts every change
        self.shape = 0  # counts changes of hosts and clusters, not of promises
        self.gains = Gains()
        self.hosts = 0
        self._residents: dict[str, tuple[Resident, int]] = {}
        self._guests = np.zeros(_FIRST_ROWS, dtype=np.int32)
        self._most_free = np.zeros((3, 1), dtype=np.int64)  # by block: no row has more
        self._unused: list[int] = []
        self._taint_numbers: dict[tuple[Taint, ...], int] = {(): 0}
        self._memo: dict[object, tuple[int, Any]] = {}

    # Hosts and clusters

    def put_host(self, facts: HostFacts) -> None:
        """Take what is known of a host."""
        row, flags = self._row(facts.name), _flags_of(facts)
        was, before = int(self.flags[row]), self.free[:, row].copy()
        self.hosts += not was & PRESENT
        relabelled = moved = self.labels.put(row, {**facts.labels, CLUSTER_TOPOLOGY: facts.cluster})
        taints = self._taint_number(facts.taints)
        moved |= int(self.taints[row]) != taints or not was & PRESENT
        self.flags[row], self.taints[row] = flags, taints
        self._set_allocatable(row, facts.allocatable)
        holds = self.images.put(row, facts.images)
        opened = bool(was & ~flags)
        if moved or was != flags:
            self.shape += 1
        if moved or opened or bool((self.free[:, row] > before).any()):
            self.gains.row(row)
        was_there = bool(was & PRESENT)
        if (was_there and (relabelled or flags & ~was & LEAVING)) or (not was_there and self._guests[row]):
            self.gains.places()
        if moved or holds or was != flags or bool((self.free[:, row] != before).any()):
            self._touch(row)

    def remove_host(self, name: str) -> None:
        """Forget a host; what it has promised stays known until it is released."""
        row = self.row_of.get(name)
        if row is None or not self.flags[row] & PRESENT:
            return
        self.hosts -= 1
        self.flags[row] = 0
        self._set_allocatable(row, Amounts())
        self.labels.put(row, {})
        self.images.put(row, {})
        self.shape += 1
        self._touch(row)
        self.gains.places()
        self._drop_if_unused(row)

    def put_cluster(self, facts: ClusterFacts) -> None:
        """Take what is known of a cluster."""
        if self.clusters.get(facts.name) != facts:
            self.clusters[facts.name] = facts
            self._reshape()

    def remove_cluster(self, name: str) -> None:
        """Forget a cluster."""
        if self.clusters.pop(name, None) is not None:
            self._reshape()

    def _reshape(self) -> None:
        self.shape += 1
        self.change += 1
        self.gains.everywhere()
        self.changed_at[:] = self.change

    # Promises

    def reserve(self, guest_id: str, resident: Resident) -> bool:
        """Note a promise; a former one of that guest ends. Tell whether anything changed."""
        if (known := self._residents.get(guest_id)) is not None:
            if known[0] == resident:
                return False
            self.release(guest_id)
        row = self._row(resident.host)
        self._residents[guest_id] = (resident, row)
        self._take(row, resident.amounts, 1)
        self.crowd.arrive(guest_id, resident, row)
        self.gains.guest_came(resident.namespace)
        self._touch(row)
        return True

    def release(self, guest_id: str) -> str | None:
        """End a promise; return the host that has more room now, if any."""
        known = self._residents.pop(guest_id, None)
        if known is None:
            return None
        resident, row = known
        self._take(row, resident.amounts, -1)
        self.crowd.leave(guest_id, resident, row)
        self.gains.guest_went(resident.namespace)
        if any(term.topology_key != HOST_TOPOLOGY for term in resident.apart):
            self.gains.everywhere()
        self._touch(row)
        self.gains.row(row)
        self._drop_if_unused(row)
        return resident.host

    def resident(self, guest_id: str) -> Resident | None:
        """Return the guest that a promise was made for, or None."""
        known = self._residents.get(guest_id)
        return known[0] if known else None

    def residents(self) -> Iterator[tuple[str, Resident]]:
        """Yield every promise with its Guest ID."""
        return ((guest_id, resident) for guest_id, (resident, _) in self._residents.items())

    def promised(self, host: str) -> Amounts:
        """Return what a host has promised in all."""
        row = self.row_of.get(host)
        return Amounts() if row is None else Amounts(*(self.allocatable[:, row] - self.free[:, row]).tolist())

    def count(self, host: str) -> int:
        """Return to how many guests it has."""
        row = self.row_of.get(host)
        return 0 if row is None else int(self._guests[row])

    def correct(self, host: str, promised: Amounts, guests: int) -> None:
        """Set what a host has promised to what a recount found."""
        row = self._row(host)
        self._guests[row] = guests
        before = self.free[:, row].copy()
        self.free[:, row] = self.allocatable[:, row] - vector(promised)
        if (self.free[:, row] > before).any():
            self.gains.row(row)
        self._raise_bound(row)
        self._touch(row)

    def _take(self, row: int, amounts: Amounts, sign: int) -> None:
        free, taken = self.free, amounts.bounded()
        free[0, row] -= sign * taken.cpu_millis
        free[1, row] -= sign * taken.memory_bytes
        free[2, row] -= sign * taken.disk_bytes
        self._guests[row] += sign
        if sign < 0:
            self._raise_bound(row)

    # What rules and decisions read

    def all_rows(self) -> Rows:
        """Return every row, those that are empty too."""
        return Rows(self, range(len(self.names)))

    def host_at(self, row: int) -> str:
        """Return the name of the host of a row."""
        return self.names[row] or ""

    def cluster_at(self, row: int) -> str:
        """Return the name of the cluster of a row's host."""
        column = self.labels.column(CLUSTER_TOPOLOGY)
        return (column.value_at(row) if column else None) or ""

    def note_full(self, rows: Rows) -> None:
        """After a block without a host that fits: note how much its rows have at most, so that it can be left out."""
        if isinstance(rows.numbers, range) and rows.numbers.start % self.block == 0:
            block = slice(rows.numbers.start, rows.numbers.stop)
            self._most_free[:, rows.numbers.start // self.block] = self.free[:, block].max(axis=1)

    def blocks_with(self, amounts: Amounts) -> RowNumbers:
        """Return the blocks in which a row may have so much free."""
        used = -(-len(self.names) // self.block)
        return np.flatnonzero((self._most_free[:, :used] >= vector(amounts)[:, None]).all(axis=0))

    def memo(self, key: object, stamp: int, make: Callable[[], Made]) -> Made:
        """Return what `make` made for a key when the stamp was the same, or have it made."""
        known = self._memo.get(key)
        if known is not None and known[0] == stamp:
            found: Made = known[1]
            return found
        if len(self._memo) > _MAX_MEMO:
            self._memo.clear()
        made = make()
        self._memo[key] = (stamp, made)
        return made

    @contextmanager
    def without(self, guest_id: str) -> Iterator[None]:
        """Look at the fleet as it would be without one guest; for questions, never for promises."""
        resident = self.resident(guest_id)
        noted = self.gains.noted()
        self.release(guest_id)
        try:
            yield
        finally:
            if resident is not None:
                self.reserve(guest_id, resident)
            self.gains.restore(noted)

    def nbytes(self) -> int:
        """Return the bytes that all arrays take."""
        arrays = (self.flags, self.taints, self.allocatable, self.free, self.changed_at, self._guests)
        return sum(each.nbytes for each in arrays) + self.labels.nbytes() + self.crowd.nbytes()

    # Rows

    def _row(self, name: str) -> int:
        row = self.row_of.get(name)
        if row is None:
            row = self._unused.pop() if self._unused else self._new_row()
            self.row_of[name] = row
            self.names[row] = name
        return row

    def _new_row(self) -> int:
        row = len(self.names)
        self.names.append(None)
        if row >= self.flags.size:
            size = 2 * self.flags.size
            self.flags, self.taints = grown(self.flags, size), grown(self.taints, size)
            self.allocatable, self.free = grown(self.allocatable, size), grown(self.free, size)
            self.changed_at, self._guests = grown(self.changed_at, size), grown(self._guests, size)
            self.labels.grow(size)
        if row // self.block >= self._most_free.shape[1]:
            self._most_free = grown(self._most_free, 2 * self._most_free.shape[1])
        return row

    def _drop_if_unused(self, row: int) -> None:
        name = self.names[row]
        if name is not None and not self.flags[row] & PRESENT and not self._guests[row]:
            self.names[row] = None
            del self.row_of[name]
            self._unused.append(row)

    def _set_allocatable(self, row: int, amounts: Amounts) -> None:
        wanted = vector(amounts)
        self.free[:, row] += wanted - self.allocatable[:, row]
        self.allocatable[:, row] = wanted
        self._raise_bound(row)

    def _raise_bound(self, row: int) -> None:
        bound = self._most_free[:, row // self.block]
        np.maximum(bound, self.free[:, row], out=bound)

    def _taint_number(self, taints: tuple[Taint, ...]) -> int:
        number = self._taint_numbers.setdefault(taints, len(self.taint_sets))
        if number == len(self.taint_sets):
            self.taint_sets.append(taints)
        return number

    def _touch(self, row: int) -> None:
        self.change += 1
        self.changed_at[row] = self.change


def _flags_of(facts: HostFacts) -> int:
    return (
        PRESENT
        | LEAVING * facts.leaving
        | NOT_READY * (not facts.ready)
        | MAINTENANCE * facts.maintenance
        | UNSCHEDULABLE * facts.unschedulable
    )


def vector(amounts: Amounts) -> NDArray[np.int64]:
    """Return amounts as an array: cpu, memory, disk; each bounded, as arrays hold no larger numbers."""
    held = amounts.bounded()
    return np.array((held.cpu_millis, held.memory_bytes, held.disk_bytes), dtype=np.int64)
