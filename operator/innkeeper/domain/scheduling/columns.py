"""Labels of hosts as columns: for each key one array with a small number for each value.

Rows are numbers that a fleet gives to hosts. A column finds the rows with a value without a walk over all of them: by
an index that is made when first asked for, and kept right by a list of rows that changed since.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ids = NDArray[np.int32]
RowNumbers = NDArray[np.intp]
Number = TypeVar("Number", bound="np.generic[Any]")

ABSENT = -1
UNKNOWN = -2  # a value that no row has: equal to nothing in a column
_MAX_STALE = 1024


def grown(array: NDArray[Number], size: int, *, fill: int = 0) -> NDArray[Number]:
    """Return a copy that is longer along its last axis, filled up."""
    larger = np.full((*array.shape[:-1], size), fill, dtype=array.dtype)
    larger[..., : array.shape[-1]] = array
    return larger


class LabelColumn:
    """One key: the number of its value for each row, ABSENT where the row has no such label."""

    def __init__(self, size: int) -> None:
        self.ids: Ids = np.full(size, ABSENT, dtype=np.int32)
        self.values: list[str] = []
        self._numbers: dict[str, int] = {}
        self._order: RowNumbers | None = None  # rows sorted by id
        self._sorted: Ids | None = None
        self._stale: set[int] = set()  # rows that changed since the index was made

    def grow(self, size: int) -> None:
        """Make room for more rows."""
        self.ids = grown(self.ids, size, fill=ABSENT)

    def id_of(self, value: str) -> int:
        """Return the number of a value, or UNKNOWN."""
        return self._numbers.get(value, UNKNOWN)

    def value_at(self, row: int) -> str | None:
        """Return the value that a row has."""
        number = int(self.ids[row])
        return None if number == ABSENT else self.values[number]

    def set(self, row: int, value: str | None) -> int:
        """Note the value of a row; return its number."""
        number = ABSENT
        if value is not None:
            number = self._numbers.setdefault(value, len(self.values))
            if number == len(self.values):
                self.values.append(value)
        self.ids[row] = number
        self._stale.add(row)
        return number

    def rows_with(self, values: Collection[str]) -> list[RowNumbers]:
        """Return the rows that have one of these values, in one or more parts; and perhaps a few that had, or twice."""
        order, spans = self._spans(values)
        parts = [order[begin:end] for begin, end in spans]
        if self._stale:
            parts.append(np.array(sorted(self._stale), dtype=np.intp))
        if sum(each.size for each in parts) > _MAX_STALE:
            return parts
        return [np.unique(np.concatenate(parts))] if parts else []

    def count_with(self, values: Collection[str]) -> int:
        """Return how many rows `rows_with` would return at most."""
        _, spans = self._spans(values)
        return len(self._stale) + sum(end - begin for begin, end in spans)

    def _spans(self, values: Collection[str]) -> tuple[RowNumbers, list[tuple[int, int]]]:
        if self._order is None or self._sorted is None or len(self._stale) > _MAX_STALE:
            self._order = np.argsort(self.ids, kind="stable")
            self._sorted = self.ids[self._order]
            self._stale.clear()
        numbers = [number for each in values if (number := self.id_of(each)) >= 0]
        begins = np.searchsorted(self._sorted, numbers, side="left")
        ends = np.searchsorted(self._sorted, numbers, side="right")
        return self._order, list(zip(begins.tolist(), ends.tolist(), strict=True))


class LabelColumns:
    """The columns of all keys that any host carries.

    `moved` is told of each row whose value of a key changes: (row, key, number before, number after).
    """

    def __init__(self, size: int, moved: Callable[[int, str, int, int], None]) -> None:
        self._size = size
        self._columns: dict[str, LabelColumn] = {}
        self._moved = moved

    def grow(self, size: int) -> None:
        """Make room for more rows."""
        self._size = size
        for column in self._columns.values():
            column.grow(size)

    def column(self, key: str) -> LabelColumn | None:
        """Return the column of a key, or None where no host ever had it."""
        return self._columns.get(key)

    def put(self, row: int, labels: Mapping[str, str]) -> bool:
        """Note all labels of a row; tell whether any changed."""
        for key in labels.keys() - self._columns.keys():
            self._columns[key] = LabelColumn(self._size)
        changed = False
        for key, column in self._columns.items():
            value = labels.get(key)
            if column.value_at(row) != value:
                before = int(column.ids[row])
                self._moved(row, key, before, column.set(row, value))
                changed = True
        return changed

    def nbytes(self) -> int:
        """Return the bytes that the arrays take."""
        return sum(each.ids.nbytes for each in self._columns.values())
