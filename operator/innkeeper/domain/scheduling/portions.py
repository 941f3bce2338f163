"""Where to look for a host: rows in portions, from a place that a seed chooses, and no row left out that could fit.

A wish for a label that few hosts carry leads to those hosts alone. Otherwise the fleet is walked block by block; blocks
in which no row has enough free are left out.
"""

from collections.abc import Iterator

from innkeeper.domain.scheduling.columns import RowNumbers
from innkeeper.domain.scheduling.fleet import Fleet, Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.selectors import Operator
from innkeeper.views.placement import CLUSTER_TOPOLOGY

_FEW_PART = 16  # a label leaves few rows where it leaves less than this part: blocks find denser ones faster


def portions(request: Request, fleet: Fleet, *, seed: int) -> Iterator[Rows]:
    """Yield all rows that may fit."""
    narrowed = _narrowed(request, fleet)
    if narrowed is not None:
        for part in narrowed:
            for half in _turned(part, seed):
                for begin in range(0, half.size, fleet.block):
                    yield Rows(fleet, half[begin : begin + fleet.block])
        return
    for half in _turned(fleet.blocks_with(request.amounts), seed):
        for number in half.tolist():
            begin = number * fleet.block
            yield Rows(fleet, range(begin, min(begin + fleet.block, len(fleet.names))))


def _turned(numbers: RowNumbers, seed: int) -> tuple[RowNumbers, RowNumbers]:
    """Return what comes from the seed's place on, and what comes before it."""
    start = seed % max(1, numbers.size)
    return numbers[start:], numbers[:start]


def _narrowed(request: Request, fleet: Fleet) -> list[RowNumbers] | None:
    """Return the rows that the most selective wish for a label's value leaves, where it leaves few."""
    if len(fleet.names) <= fleet.block:
        return None
    wishes = [
        (each.key, each.values) for each in request.host_selector.requirements if each.operator is Operator.IN
    ]
    if request.cluster is not None:
        wishes.append((CLUSTER_TOPOLOGY, frozenset((request.cluster,))))
    best, fewest = None, len(fleet.names) // _FEW_PART
    for key, values in wishes:
        column = fleet.labels.column(key)
        if column is None:
            return []
        if (count := column.count_with(values)) < fewest:
            best, fewest = (column, values), count
    return best[0].rows_with(best[1]) if best else None
