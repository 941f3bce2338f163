"""The subset counted anew, beside what was kept up to date change by change: what differs is drift, and is set right.

Three things are compared, each with the one below it: promises with guests and orders, the sums of hosts with promises,
the counts of groups with promises. A promise that is about to be written is left alone. Nothing is asked of the API
server.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from enum import StrEnum

from innkeeper.domain.quantity import Amounts
from innkeeper.state.subset import Subset

SLICE = 500


class Drift(StrEnum):
    """What had drifted."""

    PROMISE = "Promise"  # a guest's promise is not what its binding or its order says
    HOST = "Host"  # a host's sums are not those of its promises
    GROUP = "Group"  # the guests of a group by place are not those of the promises


def recount(subset: Subset) -> Iterator[Counter[Drift]]:
    """Yield what drifted, slice by slice, each set right already; between two slices other work may go on."""
    guest_ids = list(_guest_ids(subset))
    for begin in range(0, len(guest_ids), SLICE):
        part = guest_ids[begin : begin + SLICE]
        yield Counter({Drift.PROMISE: sum(_promise_drifted(subset, each) for each in part)})
    yield Counter({Drift.HOST: _hosts_drifted(subset)})
    yield Counter({Drift.GROUP: subset.fleet.crowd.correct()})


def _guest_ids(subset: Subset) -> set[str]:
    promised = (guest_id for guest_id, _ in subset.fleet.residents())
    return {*subset.guest_keys, *subset.assignments, *promised}


def _promise_drifted(subset: Subset, guest_id: str) -> bool:
    if subset.promises.is_assumed(guest_id):
        return False
    before = subset.fleet.resident(guest_id)
    subset.settle_promise(guest_id)
    return subset.fleet.resident(guest_id) != before


def _hosts_drifted(subset: Subset) -> int:
    """Compare every host in one go: between two of them a promise could move."""
    sums: defaultdict[str, Amounts] = defaultdict(Amounts)
    counts: Counter[str] = Counter()
    for _, resident in subset.fleet.residents():
        sums[resident.host] += resident.amounts
        counts[resident.host] += 1
    drifted = 0
    for host in list(subset.fleet.row_of):
        if (subset.fleet.promised(host), subset.fleet.count(host)) != (sums[host], counts[host]):
            subset.fleet.correct(host, sums[host], counts[host])
            drifted += 1
    return drifted
