"""One line of guests that wait for the same thing: who stands before whom, and what is left for whom of what is free.

By rank, then by name. Guests with equal needs stand in one sorted row: a place is found by halving, and whoever needs
more than there is costs nothing, however many they are. What is free goes to those whose need it covers, in their order;
for those that it does not cover now one place is kept in all, so that they are neither passed by for ever nor keep
everything from the others.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from heapq import merge

from innkeeper.kube.informer import Key
from innkeeper.state.backlog import Rank

Place = tuple[Rank, Key]


class Line:
    """Guests in their order, each with how many it needs of what comes one by one: one, where nothing else is said."""

    def __init__(self) -> None:
        self._stands: dict[Key, tuple[Place, int]] = {}
        self._rows: dict[int, list[Place]] = {}  # need -> places, sorted; there are few different needs

    def __len__(self) -> int:
        return len(self._stands)

    def __iter__(self) -> Iterator[Key]:
        return (guest for _, guest in merge(*self._rows.values()))

    def put(self, guest: Key, rank: Rank, *, need: int = 1) -> bool:
        """Put a guest in line, or where it stands now; return whether it stood there with a smaller need."""
        place, before = (rank, guest), self._stands.get(guest)
        if before == (place, need):
            return False
        self.drop(guest)
        self._stands[guest] = (place, need)
        insort(self._rows.setdefault(need, []), place)
        return before is not None and before[1] < need

    def drop(self, guest: Key) -> None:
        """Take a guest out of the line."""
        place, need = self._stands.pop(guest, (None, 0))
        if place is None:
            return
        row = self._rows[need]
        del row[bisect_left(row, place)]
        if not row:
            del self._rows[need]

    def before(self, guest: Key, rank: Rank) -> int:
        """Return how many others have their turn before a guest, be it in the line or not."""
        return sum(self._before(guest, rank).values())

    def needed_before(self, guest: Key, rank: Rank) -> int:
        """Return how many are needed by all that have their turn before a guest."""
        return sum(need * count for need, count in self._before(guest, rank).items())

    def left(self, guest: Key, rank: Rank, *, free: int) -> int:
        """Return how many are left for a guest of so many free ones."""
        needed = self.needed_before(guest, rank)
        if needed <= free:
            return free - needed
        for _, left in self._turns(free, until=(rank, guest)):
            free = left
        return free

    def served(self, free: int) -> Iterator[Key]:
        """Yield those who can have what they need when so many are free."""
        return (guest for guest, _ in self._turns(free) if guest is not None)

    def _before(self, guest: Key, rank: Rank) -> dict[int, int]:
        """Return how many others are before a guest, by what they need."""
        found = {need: bisect_left(row, (rank, guest)) for need, row in self._rows.items()}
        place, need = self._stands.get(guest, (None, 0))
        if place is not None and place < (rank, guest):
            found[need] -= 1  # its own place, from before its rank changed
        return found

    def _turns(self, free: int, *, until: Place | None = None) -> Iterator[tuple[Key | None, int]]:
        """Yield each guest that is served and how many are left then; nobody (None) where a place is kept."""
        is_kept, passed = False, dict.fromkeys(self._rows, 0)
        while free > 0:
            heads = [
                (place, need)
                for need, row in self._rows.items()
                if need <= free or not is_kept
                if (place := self._head(row, passed, need, until)) is not None
            ]
            if not heads:
                return
            (_, guest), need = min(heads)
            if need > free:
                is_kept, free = True, free - 1
                yield None, free
            else:
                passed[need] += 1
                free -= need
                yield guest, free

    def _head(self, row: list[Place], passed: dict[int, int], need: int, until: Place | None) -> Place | None:
        """Return the first of a row that had no turn; a guest that asks is not before itself."""
        while passed[need] < len(row):
            place = row[passed[need]]
            if until is not None and place >= until:
                return None
            if until is None or place[1] != until[1]:
                return place
            passed[need] += 1
        return None
