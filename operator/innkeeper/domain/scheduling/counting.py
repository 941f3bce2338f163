"""Guests of one namespace counted anew, a few at a time, while others come and go: what a crowd is compared with.

Who was there when the count began is taken from a list, part by part; who comes or goes since is noted at once. So when
the list is through, the count is that of the present moment, and stays so as long as it is told of every change.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from innkeeper.domain.scheduling.facts import Resident
from innkeeper.domain.scheduling.request import Group, Term

_MAX_REMEMBERED = 4096


class Count:
    """Counts by row: of the members of some groups, and of the keepers of every term where that is asked for."""

    def __init__(self, namespace: str, groups: Sequence[Group], *, with_keepers: bool) -> None:
        self.namespace = namespace
        self.members: dict[Group, Counter[int]] = {group: Counter() for group in groups}
        self.keepers: defaultdict[Term, Counter[int]] = defaultdict(Counter)
        self.with_keepers = with_keepers
        # Guests with equal labels are of the same groups.
        self._of_labels: dict[tuple[tuple[str, str], ...], list[Counter[int]]] = {}

    def take(self, guests: Iterable[tuple[Resident, int]]) -> None:
        """Count guests that were there when the count began, each with its row."""
        for resident, row in guests:
            self._add(resident, row, 1)

    def note(self, resident: Resident, row: int, by: int) -> None:
        """Take in that a guest came or went."""
        if resident.namespace == self.namespace:
            self._add(resident, row, by)

    def _add(self, resident: Resident, row: int, by: int) -> None:
        for counts in self._counts_of(resident.labels):
            counts[row] += by
        for term in resident.apart if self.with_keepers else ():
            self.keepers[term][row] += by

    def _counts_of(self, labels: Mapping[str, str]) -> list[Counter[int]]:
        if not self.members:
            return []
        key = tuple(labels.items())
        found = self._of_labels.get(key)
        if found is None:
            if len(self._of_labels) >= _MAX_REMEMBERED:
                self._of_labels.clear()
            found = [counts for group, counts in self.members.items() if group.selector.matches(labels)]
            self._of_labels[key] = found
        return found
