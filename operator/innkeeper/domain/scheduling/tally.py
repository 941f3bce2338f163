"""How many guests of one group there are on each row, and in each place.

A place is a host, or all hosts with the same value of a label. Counts by row are a small table while few rows have any;
counts by place are made when first asked for, and kept from then on.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from innkeeper.domain.scheduling.columns import LabelColumns, RowNumbers, grown
from innkeeper.views.placement import HOST_TOPOLOGY

Counts = NDArray[np.int32]
_FEW = 256


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
        self.arrivals = 0  # how often any came
        self.rows = RowCounts()
        self._labels = labels
        self._places: dict[str, Counts] = {}  # by number of the value; the last is for rows without the label

    @classmethod
    def of(cls, labels: LabelColumns, counts: Mapping[int, int]) -> "Tally":
        """Return a tally with these counts by row."""
        tally = cls(labels)
        for row, count in counts.items():
            tally.add(row, count)
        return tally

    def differs(self, counts: Mapping[int, int]) -> bool:
        """Tell whether these are other counts by row, or by place, than those kept."""
        fresh = Tally.of(self._labels, counts)
        if self.total != fresh.total or dict(self.rows.items()) != dict(fresh.rows.items()):
            return True
        return any(_filled(self.places(key)) != _filled(fresh.places(key)) for key in list(self._places))

    def add(self, row: int, by: int) -> None:
        """One guest more, or less, on a row."""
        self.total += by
        self.arrivals += by > 0
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


def _filled(counts: Counts) -> dict[int, int]:
    """Return the places that have any guests; arrays of the same counts may be of different lengths."""
    return {int(place): int(counts[place]) for place in np.flatnonzero(counts)}


def _with_last(counts: Counts, size: int) -> Counts:
    """Lengthen counts by place; what stood for rows without the label stays last, and 0."""
    larger = np.zeros(size, dtype=np.int32)
    larger[: counts.size - 1] = counts[:-1]
    return larger
