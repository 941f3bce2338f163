"""A group of guests may have to lie evenly over places.

Places count where the guest could be by cluster, pool and selectors, whatever room they have: a full place still holds
the others back, as a place that comes back would be behind. Hosts that are deleted or lost make no place.
"""

import numpy as np

from innkeeper.domain.scheduling.columns import Bools, RowNumbers
from innkeeper.domain.scheduling.fleet import LEAVING, PRESENT, Fleet, Rows
from innkeeper.domain.scheduling.request import Request, SpreadLimit
from innkeeper.domain.scheduling.rules import affinity, cluster, cluster_selector, host_selector, pool
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase
from innkeeper.domain.scheduling.tally import Tally
from innkeeper.views.placement import HOST_TOPOLOGY

_WHERE = (cluster.RULE, cluster_selector.RULE, pool.SERVED, host_selector.RULE)


def _mask(request: Request, rows: Rows) -> Bools:
    found = np.ones(len(rows), dtype=np.bool_)
    for limit in request.spread:
        found &= _is_even(request, limit, rows)
    return found


def _is_even(request: Request, limit: SpreadLimit, rows: Rows) -> Bools:
    tally = rows.fleet.crowd.members(limit.term.group)
    more = 1 if request.is_of(limit.term.group) else 0
    counts = rows.counts(tally, limit.term.topology_key)
    even: Bools = counts + more - _least(request, limit, rows.fleet, tally) <= limit.max_skew
    return even & affinity.has_place(limit.term, rows)


def _least(request: Request, limit: SpreadLimit, fleet: Fleet, tally: Tally) -> int:
    """Return how many guests of the group the emptiest place has."""
    key = limit.term.topology_key
    asked = (
        "spread",
        key,
        request.cluster,
        request.cluster_selector,
        request.clusters,
        request.host_selector,
    )
    places = fleet.memo(asked, fleet.shape, lambda: _places(request, key, fleet))
    if not places.size:
        return 0
    counts = tally.rows.at(places) if key == HOST_TOPOLOGY else tally.places(key)[places]
    return int(counts.min())


def _places(request: Request, key: str, fleet: Fleet) -> RowNumbers:
    """Return the places that count: numbers of rows, or of values of the label."""
    rows = fleet.all_rows()
    found = (rows.of(fleet.flags) & (PRESENT | LEAVING)) == PRESENT
    for rule in _WHERE:
        if rule.applies(request, fleet):
            found &= rule.mask(request, rows)
    if key == HOST_TOPOLOGY:
        return np.flatnonzero(found)
    ids = rows.ids(key)
    if ids is None:
        return np.empty(0, dtype=np.intp)
    there = np.unique(ids[found])
    return there[there >= 0].astype(np.intp)


RULE = FilterRule(
    name="spread",
    reason="Uneven",
    phrase=Phrase("would be fuller than spread allows", "would be fuller than spread allows"),
    mask=_mask,
    applies=lambda request, _: bool(request.spread),
)
