"""The subset counted anew, beside what was kept up to date change by change: what differs is drift, and is set right.

Three things are compared, each with the one below it: promises with guests and orders, the sums of hosts with promises,
the counts of groups with promises. A promise that is about to be written is left alone. No step looks at more than some
guests, save where a host's sums were found wrong. Nothing is asked of the API server.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from enum import StrEnum

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.facts import Resident
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
    for drifted in _hosts(subset):
        yield Counter({Drift.HOST: drifted})
    for drifted in subset.fleet.crowd.correct():
        yield Counter({Drift.GROUP: drifted})


def _guest_ids(subset: Subset) -> set[str]:
    promised = (guest_id for guest_id, _ in subset.fleet.residents())
    return {*subset.guest_keys, *subset.assignments, *promised}


def _promise_drifted(subset: Subset, guest_id: str) -> bool:
    if subset.promises.is_assumed(guest_id):
        return False
    before = subset.fleet.resident(guest_id)
    subset.settle_promise(guest_id)
    return subset.fleet.resident(guest_id) != before


class _Sums:
    """What hosts have promised by their promises: amounts and guests."""

    def __init__(self) -> None:
        self._amounts: defaultdict[str, Amounts] = defaultdict(Amounts)
        self._guests: Counter[str] = Counter()

    def take(self, promises: Iterable[Resident]) -> None:
        """Add some promises."""
        for each in promises:
            self._amounts[each.host] += each.amounts
            self._guests[each.host] += 1

    def of(self, host: str) -> tuple[Amounts, int]:
        """Return what a host has promised, and to how many guests."""
        return self._amounts[host], self._guests[host]


def _hosts(subset: Subset) -> Iterator[int]:
    """Compare what hosts had promised at one moment with the promises of that moment; yield how many differed."""
    fleet, sums = subset.fleet, _Sums()
    promises = [resident for _, resident in fleet.residents()]
    told = {host: (fleet.promised(host), fleet.count(host)) for host in fleet.row_of}
    for begin in range(0, len(promises), SLICE):
        sums.take(promises[begin : begin + SLICE])
        yield 0
    drifted = {host for host, each in told.items() if each != sums.of(host)}
    if drifted:
        _correct(subset, drifted)
    yield len(drifted)


def _correct(subset: Subset, hosts: AbstractSet[str]) -> None:
    """Set the sums of hosts to those of their promises now: some have moved since they were compared."""
    sums = _Sums()
    sums.take(resident for _, resident in subset.fleet.residents() if resident.host in hosts)
    for host in hosts & subset.fleet.row_of.keys():
        subset.fleet.correct(host, *sums.of(host))
