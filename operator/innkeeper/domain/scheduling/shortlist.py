"""Equal requests share their work: what fitted the first one, ranked, serves the next ones.

Labels that no rule looks at make none unequal. An entry counts only while its row has not changed since it was scored;
changed rows are asked again, many at once. Requests that speak of other guests are decided anew each time, since any
guest's coming can change what is best for them. What fits nowhere is not asked again until something could help it;
where other guests rule that, it always is.
"""

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.columns import RowNumbers
from innkeeper.domain.scheduling.cycle import NoHostFits, Placement
from innkeeper.domain.scheduling.facts import Strategy
from innkeeper.domain.scheduling.fleet import Fleet, Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules.rule import Scores

Value = TypeVar("Value")

_MOST_REQUESTS = 256
_TOGETHER = 8  # one part in so many of a list is asked again at once: a short list is kept exact
_SHARE = 0.5  # a list is made anew when this part of it was used, so that other hosts get their turn


@dataclass
class _Shortlist:
    """Rows that fitted one request, the best first; a row with an old stamp has to be asked again."""

    shape: int
    closing: tuple[int, int]  # of the crowd: which guests keep whom out of which places
    rows: RowNumbers
    totals: Scores
    seed: int
    stamp: int
    heap: list[tuple[float, int, int, int]] | None = None  # -total, lot, row, stamp
    aside: list[int] = field(default_factory=list)
    uses: int = 0

    def entries(self) -> list[tuple[float, int, int, int]]:
        """Return the heap, made when the second guest comes: most requests are never repeated."""
        if self.heap is None:
            ranks = (-self.totals).tolist()
            drawn = cycle.lots(self.rows, seed=self.seed).tolist()
            entries = zip(ranks, drawn, self.rows.tolist(), strict=True)
            self.heap = [(rank, lot, row, self.stamp) for rank, lot, row in entries]
            heapq.heapify(self.heap)
        return self.heap


class Shortlists:
    """Decides, and remembers for equal requests what it found."""

    def __init__(self, fleet: Fleet, *, enough: int = cycle.ENOUGH) -> None:
        self._fleet = fleet
        self._enough = enough
        self._lists: OrderedDict[Request, _Shortlist] = OrderedDict()
        self._hopeless: OrderedDict[Request, tuple[tuple[int, int], NoHostFits]] = OrderedDict()

    def decide(self, request: Request, *, seed: int) -> Placement | NoHostFits:
        """Choose a host; the caller notes the promise before it asks again."""
        if request.is_ruled_by_guests:
            return cycle.decide(request, self._fleet, seed=seed, enough=self._enough)
        request = self._fleet.crowd.in_common(request)
        hopeless = self._hopeless.get(request)
        if hopeless is not None and hopeless[0] == self._standing():
            return hopeless[1]
        found = self._choose(request, seed=seed)
        if isinstance(found, NoHostFits):
            _remember(self._hopeless, request, (self._standing(), found))
        return found

    def _choose(self, request: Request, *, seed: int) -> Placement | NoHostFits:
        if request.speaks_of_guests:
            return cycle.decide(request, self._fleet, seed=seed, enough=self._enough)
        row = self._next(request)
        if row is None:
            row = self._begin(request, seed=seed)
        if row is not None:
            return cycle.placement_at(self._fleet, row)
        return cycle.no_host_fits(request, self._fleet)

    def _standing(self) -> tuple[int, int]:
        """While this stays the same, what fitted nowhere fits nowhere."""
        return self._fleet.gains.count, self._fleet.shape

    def _begin(self, request: Request, *, seed: int) -> int | None:
        """Decide from the whole fleet, and keep what was found."""
        fleet = self._fleet
        rows, totals = cycle.ranked(request, fleet, seed=seed, enough=self._enough)
        if not rows.size:
            self._lists.pop(request, None)
            return None
        found = _Shortlist(
            shape=fleet.shape,
            closing=fleet.crowd.closing(request),
            rows=rows,
            totals=totals,
            seed=seed,
            stamp=fleet.change,
        )
        _remember(self._lists, request, found)
        return int(rows[cycle.best(rows, totals, seed=seed)])

    def _next(self, request: Request) -> int | None:
        """Return the best row of the list that still fits, or None where a list has to be made."""
        fleet, known = self._fleet, self._lists.get(request)
        if known is None or (known.shape, known.closing) != (fleet.shape, fleet.crowd.closing(request)):
            return None
        if known.uses >= max(1, _SHARE * known.rows.size):
            return None
        known.uses += 1
        heap = known.entries()
        if known.aside and (self._packs(known.aside[-1]) or known.rows.size < _TOGETHER):
            self._ask_again(request, known)
        while heap or known.aside:
            if not heap or len(known.aside) > known.rows.size // _TOGETHER:
                self._ask_again(request, known)
                continue
            _, _, row, stamp = heapq.heappop(heap)
            if fleet.changed_at[row] > stamp:
                known.aside.append(row)
                if self._packs(row):
                    self._ask_again(request, known)
                continue
            known.aside.append(row)  # it is about to change
            return row
        return None

    def _packs(self, row: int) -> bool:
        """Where hosts are filled up one by one, a row that changed is the best one still."""
        cluster = self._fleet.clusters.get(self._fleet.cluster_at(row))
        return cluster is not None and cluster.strategy is Strategy.PACK

    def _ask_again(self, request: Request, known: _Shortlist) -> None:
        fleet = self._fleet
        numbers = np.array(sorted(set(known.aside)), dtype=np.intp)
        known.aside.clear()
        rows = Rows(fleet, numbers)
        fitting = rows.where(cycle.passing(request, rows, cycle.asked(request, fleet)))
        totals = cycle.score(request, Rows(fleet, fitting))
        lots = cycle.lots(fitting, seed=known.uses)
        for total, lot, row in zip(totals.tolist(), lots.tolist(), fitting.tolist(), strict=True):
            heapq.heappush(known.entries(), (-total, lot, row, fleet.change))


def _remember(table: OrderedDict[Request, Value], request: Request, value: Value) -> None:
    table[request] = value
    table.move_to_end(request)
    if len(table) > _MOST_REQUESTS:
        table.popitem(last=False)
