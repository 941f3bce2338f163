"""What changed in a fleet that could make room for a guest that waits: noted until somebody takes the note.

Promises only take room, so they are noted for requests alone that other guests rule; who came and who went are told
apart, as nobody that is to be apart from others is helped by one that comes.
"""

from dataclasses import dataclass

import numpy as np

from innkeeper.domain.scheduling.columns import RowNumbers


@dataclass(frozen=True)
class Gained:
    """What could help guests that wait: some rows (None: all), namespaces where guests came or went, moved places."""

    rows: RowNumbers | None
    came: frozenset[str]
    went: frozenset[str]
    places: bool


@dataclass(frozen=True)
class _Noted:
    count: int = 0
    rows: frozenset[int] = frozenset()
    everywhere: bool = False
    came: frozenset[str] = frozenset()
    went: frozenset[str] = frozenset()
    places: bool = False


class Gains:
    """The note. `count` rises with each change that can make room for a request that no other guest rules."""

    def __init__(self) -> None:
        self.count = 0
        self._rows: set[int] = set()
        self._everywhere = False
        self._came: set[str] = set()
        self._went: set[str] = set()
        self._places = False

    def __bool__(self) -> bool:
        return bool(self._rows or self._everywhere or self._came or self._went or self._places)

    def row(self, row: int) -> None:
        """A host has more room, or takes more guests than before."""
        self.count += 1
        self._rows.add(row)

    def everywhere(self) -> None:
        """Any host may take more guests than before."""
        self.count += 1
        self._everywhere = True

    def places(self) -> None:
        """A host left a place, or brought guests to one: what is asked of places may be met on other hosts now."""
        self.count += 1
        self._places = True

    def guest_came(self, namespace: str) -> None:
        """A guest came; one whose labels changed went and came."""
        self._came.add(namespace)

    def guest_went(self, namespace: str) -> None:
        """A guest went."""
        self._went.add(namespace)

    def take(self) -> Gained:
        """Return what changed since the last call."""
        rows = None if self._everywhere else np.array(sorted(self._rows), dtype=np.intp)
        gained = Gained(rows, frozenset(self._came), frozenset(self._went), self._places)
        self.restore(_Noted(count=self.count))
        return gained

    def noted(self) -> _Noted:
        """Return the note as it is, for `restore`."""
        return _Noted(
            self.count,
            frozenset(self._rows),
            self._everywhere,
            frozenset(self._came),
            frozenset(self._went),
            self._places,
        )

    def restore(self, noted: _Noted) -> None:
        """Make the note what it was."""
        self.count = noted.count
        self._rows = set(noted.rows)
        self._everywhere = noted.everywhere
        self._came = set(noted.came)
        self._went = set(noted.went)
        self._places = noted.places
