"""How many guests of a group each place has, for rules that speak of other guests.

A place is a host, or all hosts with the same value of a label. Counts are kept while guests come and go, so a decision
reads them and never walks over guests. Two kinds are counted: members of a group, and keepers: guests that keep a
group out of their places.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from innkeeper.domain.scheduling.columns import LabelColumns, RowNumbers, grown
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.domain.scheduling.request import Group, Request, Term
from innkeeper.views.placement import HOST_TOPOLOGY

Counts = NDArray[np.int32]
_FEW = 256
_MAX_GROUPS = 512
_MAX_REMEMBERED = 4096


class RowCounts:
    """A count for each row: a dict while few rows have any, an array after that."""

    def __init__(self) -> None:
        self._few: dict[int, int] = {}
        self._many: Counts | None = None
        self._listed: tuple[RowNumbers, Counts] | None = None  # the dict as sorted arrays

    def __getitem__(self, row: int) -> int:
        if self._many is None:
            return self._few.get(row, 0)
        return int(self._many[row]) if row < self._many.size else 0

    def add(self, row: int, by: int) -> None:
        """Change the count of a row."""
        if self._many is None:
            self._listed = None
            self._few[row] = self._few.get(row, 0) + by
            if not self._few[row]:
                del self._few[row]
            if len(self._few) > _FEW:
                self._many = np.zeros(max(self._few) + 1, dtype=np.int32)
                self._many[list(self._few)] = list(self._few.values())
                self._few = {}
            return
        if row >= self._many.size:
            self._many = grown(self._many, max(2 * self._many.size, row + 1))
        self._many[row] += by

    def at(self, rows: RowNumbers | range) -> Counts:
        """Return the counts of these rows."""
        out = np.zeros(len(rows), dtype=np.int32)
        if self._many is not None:
            if isinstance(rows, range):
                part = self._many[rows.start : rows.stop]
                out[: part.size] = part
            else:
                known = rows < self._many.size
                out[known] = self._many[rows[known]]
            return out
        there, counts = self._lists()
        if isinstance(rows, range):
            begin, end = np.searchsorted(there, (rows.start, rows.stop))
            out[there[begin:end] - rows.start] = counts[begin:end]
        elif there.size:
            found = np.minimum(np.searchsorted(there, rows), there.size - 1)
            np.multiply(counts[found], there[found] == rows, out=out)
        return out

    def _lists(self) -> tuple[RowNumbers, Counts]:
        if self._listed is None:
            items = sorted(self._few.items())
            rows = np.array([row for row, _ in items], dtype=np.intp)
            self._listed = rows, np.array([count for _, count in items], dtype=np.int32)
        return self._listed

    def items(self) -> Iterable[tuple[int, int]]:
        """Yield each row that has any, with its count."""
        if self._many is None:
            return self._few.items()
        return ((int(row), int(self._many[row])) for row in np.flatnonzero(self._many))

    def nbytes(self) -> int:
        """Return the bytes that the array takes."""
        return 0 if self._many is None else self._many.nbytes


class Tally:
    """The counts of one group: by row, and by value of each label that was asked for."""

    def __init__(self, labels: LabelColumns) -> None:
        self.total = 0
        self.rows = RowCounts()
        self._labels = labels
        self._places: dict[str, Counts] = {}  # by number of the value; the last is for rows without the label

    def add(self, row: int, by: int) -> None:
        """One guest more, or less, on a row."""
        self.total += by
        self.rows.add(row, by)
        for key in self._places:
            column = self._labels.column(key)
            if column is not None:
                self._add_place(key, int(column.ids[row]), by)

    def move(self, row: int, key: str, *, before: int, after: int) -> None:
        """A row changed places: its guests go with it."""
        if key in self._places and (count := self.rows[row]):
            self._add_place(key, before, -count)
            self._add_place(key, after, count)

    def _add_place(self, key: str, place: int, by: int) -> None:
        if place < 0:
            return
        counts = self._places[key]
        if place >= counts.size - 1:
            counts = self._places[key] = _with_last(counts, max(2 * counts.size, place + 2))
        counts[place] += by

    def places(self, key: str) -> Counts:
        """Return the counts by number of the value of a label; the last one stands for rows without it, and is 0."""
        column = self._labels.column(key)
        needed = len(column.values) + 1 if column is not None else 1
        counts = self._places.get(key)
        if counts is None:
            counts = self._places[key] = np.zeros(needed, dtype=np.int32)
            if column is not None:
                for row, count in self.rows.items():
                    self._add_place(key, int(column.ids[row]), count)
        elif counts.size < needed:
            counts = self._places[key] = _with_last(counts, needed)
        return self._places[key]

    def at(self, key: str, rows: RowNumbers | range) -> Counts:
        """Return for each of these rows how many guests its place has; 0 where it lacks the label."""
        if key == HOST_TOPOLOGY:
            return self.rows.at(rows)
        column = self._labels.column(key)
        if column is None:
            return np.zeros(len(rows), dtype=np.int32)
        ids = column.ids[rows.start : rows.stop] if isinstance(rows, range) else column.ids[rows]
        return self.places(key)[ids]

    def nbytes(self) -> int:
        """Return the bytes that the arrays take."""
        return self.rows.nbytes() + sum(each.nbytes for each in self._places.values())


def _with_last(counts: Counts, size: int) -> Counts:
    """Lengthen counts by place; what stood for rows without the label stays last, and 0."""
    larger = np.zeros(size, dtype=np.int32)
    larger[: counts.size - 1] = counts[:-1]
    return larger


@dataclass
class Namespace:
    """What is counted in one namespace."""

    guests: dict[str, tuple[Resident, int]] = field(default_factory=dict)  # by Guest ID, with its row
    keepers: dict[Term, Tally] = field(default_factory=dict)


class Crowd:
    """All counts, and the guests that they count."""

    def __init__(self) -> None:
        self.changes = 0  # how often the set of terms of keepers changed
        self._labels: LabelColumns
        self._namespaces: defaultdict[str, Namespace] = defaultdict(Namespace)
        self._members: OrderedDict[Group, Tally] = OrderedDict()  # the one used longest ago first
        self._against: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[Term, Tally]]] = {}

    def follow(self, labels: LabelColumns) -> None:
        """Take the columns that tell the places of rows."""
        self._labels = labels

    def arrive(self, guest_id: str, resident: Resident, row: int) -> None:
        """Count a guest."""
        space = self._namespaces[resident.namespace]
        space.guests[guest_id] = (resident, row)
        self._count_member(resident, row, 1)
        for term in resident.apart:
            if term not in space.keepers:
                space.keepers[term] = Tally(self._labels)
                self._forget_keepers()
            space.keepers[term].add(row, 1)

    def leave(self, guest_id: str, resident: Resident, row: int) -> None:
        """Count a guest no more."""
        space = self._namespaces[resident.namespace]
        space.guests.pop(guest_id, None)
        self._count_member(resident, row, -1)
        for term in resident.apart:
            tally = space.keepers[term]
            tally.add(row, -1)
            if not tally.total:
                del space.keepers[term]
                self._forget_keepers()
        if not space.guests:
            del self._namespaces[resident.namespace]

    def _count_member(self, resident: Resident, row: int, by: int) -> None:
        for group, tally in self._members.items():
            if group.has(resident.namespace, resident.labels):
                tally.add(row, by)

    def _forget_keepers(self) -> None:
        self.changes += 1
        self._against.clear()

    def moved(self, row: int, key: str, before: int, after: int) -> None:
        """A host changed places."""
        for tally in self._members.values():
            tally.move(row, key, before=before, after=after)
        for space in self._namespaces.values():
            for tally in space.keepers.values():
                tally.move(row, key, before=before, after=after)

    def members(self, group: Group) -> Tally:
        """Return the counts of a group; they are kept from the first question on, for the groups asked for last."""
        tally = self._members.get(group)
        if tally is None:
            tally = self._members[group] = Tally(self._labels)
            space = self._namespaces.get(group.namespace)
            for resident, row in space.guests.values() if space else ():
                if group.selector.matches(resident.labels):
                    tally.add(row, 1)
            if len(self._members) > _MAX_GROUPS:
                self._members.popitem(last=False)
        self._members.move_to_end(group)
        return tally

    def keepers_against(self, request: Request) -> list[tuple[Term, Tally]]:
        """Return the terms of guests that are there already which keep this request's guest out of their places."""
        space = self._namespaces.get(request.namespace)
        if space is None or not space.keepers:
            return []
        known = self._against.get((request.namespace, request.labels))
        if known is None:
            if len(self._against) > _MAX_REMEMBERED:
                self._against.clear()
            known = [(term, tally) for term, tally in space.keepers.items() if request.is_of(term.group)]
            self._against[request.namespace, request.labels] = known
        return known

    def nbytes(self) -> int:
        """Return the bytes that the arrays take."""
        keepers = (tally for space in self._namespaces.values() for tally in space.keepers.values())
        return sum(tally.nbytes() for tally in (*self._members.values(), *keepers))
