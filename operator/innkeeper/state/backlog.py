"""Guests that no host fits, until something changes that could help them.

Equal requests wait in one line, by priority and then by age. When hosts gain room, labels or peace, each line's request
is asked of those hosts alone, and only its first guest is woken; the next one follows when that one has left the line.
So of many equal guests two are looked at for one free place: the one that gets it, and the one that finds it gone. Where
the first finds room but no address, it stays: nobody behind it would find one. Where it rests, as the API server did not
take what it wrote, nobody behind it is woken until it looked again.

Requests of a line leave out labels that no rule looks at. Where one does by now, the first is woken whatever changed:
it finds its line among those that share these labels, and the next one follows it.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.fleet import Fleet, Rows, vector
from innkeeper.domain.scheduling.gains import Gained
from innkeeper.domain.scheduling.request import Request
from innkeeper.kube.informer import Key
from innkeeper.views.guest import Guest

_TOGETHER = 32

Rank = tuple[int, str]  # lower first: the negative priority, then when the guest was created


def rank_of(guest: Guest) -> Rank:
    """Return a guest's place among others: the higher priority first, then the older."""
    return (-guest.spec.priority, guest.metadata.creation_timestamp)


@dataclass
class _Line:
    """Guests with equal requests. Entries of guests that left stay in the heap until they come to its top."""

    heap: list[tuple[Rank, Key]] = field(default_factory=list)
    waiting: dict[Key, Rank] = field(default_factory=dict)

    def first(self) -> Key | None:
        """Return who is next."""
        while self.heap and self.waiting.get(self.heap[0][1]) != self.heap[0][0]:
            heapq.heappop(self.heap)
        return self.heap[0][1] if self.heap else None


class Backlog:
    """All lines."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lines: dict[Request, _Line] = {}
        self._requests: dict[Key, Request] = {}
        self._resting: dict[Key, float] = {}

    def __len__(self) -> int:
        return len(self._requests) - len(self._resting)

    def wait(self, guest: Key, request: Request, rank: Rank) -> Key | None:
        """Put a guest in line; where it leaves another line for that, return who is next there, as `leave` does."""
        follower = self.leave(guest) if self._requests.get(guest) != request else None
        self._resting.pop(guest, None)
        self._requests[guest] = request
        line = self._lines.setdefault(request, _Line())
        if line.waiting.get(guest) != rank:
            line.waiting[guest] = rank
            heapq.heappush(line.heap, (rank, guest))
        return follower

    def rest(self, guest: Key, request: Request, rank: Rank, *, until: float) -> Key | None:
        """Put a guest in line that looks again by itself: until it waits or leaves, nobody behind it is next."""
        follower = self.wait(guest, request, rank)
        self._resting[guest] = until
        return follower

    def behind_until(self, guest: Key) -> float | None:
        """Return until when the first of a guest's line rests; None where it does not, or is the guest itself."""
        first = self.first_of_line(guest)
        return self._resting.get(first) if first is not None and first != guest else None

    def first_of_line(self, guest: Key) -> Key | None:
        """Return who is first in a guest's line, which may be the guest itself; None where it stands in none."""
        request = self._requests.get(guest)
        return self._lines[request].first() if request is not None else None

    def leave(self, guest: Key) -> Key | None:
        """Take a guest out of its line; return who is next there, for whom there may be room as well."""
        self._resting.pop(guest, None)
        request = self._requests.pop(guest, None)
        if request is None:
            return None
        line = self._lines[request]
        del line.waiting[guest]
        if not line.waiting:
            del self._lines[request]
        return self._next(line)

    def _next(self, line: _Line) -> Key | None:
        first = line.first()
        return None if first in self._resting else first

    def stands(self, guest: Key, request: Request | None) -> bool:
        """Tell whether a guest stands in the line of a request."""
        return request is not None and self._requests.get(guest) == request

    def behind(self, guest: Key) -> list[Key]:
        """Return those in a guest's line who would find what it finds: nobody where places are counted anew each time."""
        request = self._requests.get(guest)
        if request is None or request.spread:
            return []
        waiting = self._lines[request].waiting
        place = (waiting[guest], guest)
        return [each for each, rank in waiting.items() if (rank, each) > place]

    def waiting(self) -> list[Key]:
        """Return every guest that waits."""
        return list(self._requests)

    def helped(self) -> Iterator[list[Key]]:
        """Yield the first guest of each line that what changed since the last call could help, by rank.

        They come in parts, each from so many lines that looking at them takes some milliseconds: between two parts other
        work may go on. Many parts are empty.
        """
        if not self._lines:
            self._fleet.gains.take()
            return
        gained = self._fleet.gains.take()
        lines = [(line, request) for request, line in self._lines.items()]
        firsts = [(line.waiting[key], key, request) for line, request in lines if (key := self._next(line))]
        firsts.sort(key=lambda each: each[:2])
        for begin in range(0, len(firsts), _TOGETHER):
            part = firsts[begin : begin + _TOGETHER]
            yield [key for _, key, request in part if self._could_help(gained, request)]

    def _could_help(self, gained: Gained, request: Request) -> bool:
        if gained.rows is None or self._fleet.crowd.looks_at_more(request):
            return True
        if _guests_could_help(gained, request):
            return True
        if gained.places and self._fleet.crowd.keepers_against(request):
            return True
        if not gained.rows.size:
            return False
        rows = Rows(self._fleet, gained.rows)
        if (self._fleet.free[:, gained.rows].max(axis=1) < vector(request.amounts)).any():
            return False
        return bool(cycle.passing(request, rows, cycle.asked(request, self._fleet)).any())


def _guests_could_help(gained: Gained, request: Request) -> bool:
    """Tell whether a request may fit now by who came or went; who was kept out has it noted as room of hosts."""
    if request.is_ruled_by_guests and (gained.places or request.namespace in gained.went):
        return True
    return request.is_helped_by_arrivals and request.namespace in gained.came
