"""Finds orphans: guests that a host holds and that have no Guest object.

Slow on purpose, as the sweeper is: one counts only after several sightings in a row, each on a complete and fresh view,
since an object may be about to come; and where only a host's own word tells of it, once that host was asked again.
Finding changes nothing anywhere.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.lifecycle.revival import HeldOrder
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import Desired, OrderOutcome
from innkeeper.state.host_records import HeldGuest
from innkeeper.workers.deletion import is_to_be_removed
from innkeeper.workers.held import HeldByHosts

log = structlog.get_logger()

SIGHTINGS = 3
PERIOD_S = 20.0
_SLICE = 200

Key = tuple[str, str]  # (Guest ID, host)


class OrphanState(StrEnum):
    """What can be done with an orphan."""

    HELD = "Held"  # adopted or removed
    SUPERSEDED = "Superseded"  # it lives on another host, or was destroyed since: it can be removed only
    REMOVING = "Removing"  # a person asked for its end; its host has not been told, or does not hear


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A guest on a host without an object."""

    guest_id: str
    host: str
    namespace: str
    name: str
    rank: Rank
    since: datetime
    superseded: bool = False  # its order says that it lives elsewhere: no more than its disk is here


@dataclass(frozen=True)
class _Sighting:
    orphan: Orphan
    count: int


class Orphans:
    """The orphans of this moment. `fresh` tells whether the view is complete and not old."""

    def __init__(
        self, held: HeldByHosts, *, clock: Clock, fresh: Callable[[], bool], period_s: float = PERIOD_S
    ) -> None:
        self._held = held
        self._clock = clock
        self._fresh = fresh
        self._period_s = period_s
        self._sightings: dict[Key, _Sighting] = {}
        self._looks = 0  # in a row, each on a fresh view
        self.ask: Callable[[str], None] = lambda _: None  # has a host read
        self.ask_whole: Callable[[str], None] = lambda _: None  # the same, and all of it: a text is missing

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._clock.sleep(self._period_s)
            await self.look()

    @property
    def is_known(self) -> bool:
        """Whether there were enough looks to say what is an orphan."""
        return self._looks >= SIGHTINGS

    def all(self) -> list[Orphan]:
        """Return the orphans, sorted by namespace and name."""
        seen = (each.orphan for each in self._sightings.values() if each.count >= SIGHTINGS)
        found = [each for each in seen if self._is_one(each)]
        return sorted(found, key=lambda each: (each.namespace, each.name, each.guest_id, each.host))

    def find(self, namespace: str, guest_id: str) -> list[Orphan]:
        """Return a guest as each host has it, the latest order first; behind them the hosts that keep its disk alone."""
        found = [each for each in self.all() if each.guest_id == guest_id and each.namespace == namespace]
        return sorted(found, key=lambda each: (not each.superseded, each.rank), reverse=True)

    def order_of(self, orphan: Orphan) -> HeldOrder | None:
        """Return the order by which the host keeps an orphan; where its text is missing, have it read."""
        held = self._held.order(orphan.guest_id, orphan.host)
        if held is None:
            self.ask_whole(orphan.host)
        return held

    def state_of(self, orphan: Orphan) -> OrphanState:
        """Return what can be done with an orphan."""
        assignment = self._held.subset.assignment(orphan.guest_id, orphan.host)
        if assignment is not None and is_to_be_removed(assignment):
            return OrphanState.REMOVING
        is_over = self._held.records.is_over(orphan.guest_id, orphan.host, orphan.rank)
        return OrphanState.SUPERSEDED if orphan.superseded or is_over else OrphanState.HELD

    async def look(self) -> None:
        """Look once at all that hosts hold."""
        if not self._fresh():
            self._sightings.clear()
            self._looks = 0
            return
        before, seen = self._sightings, dict[Key, _Sighting]()
        now = self._clock.now()
        for number, orphan in enumerate(self._candidates(now)):
            if number % _SLICE == 0:
                await asyncio.sleep(0)  # there may be many; other work goes on between slices
            if orphan is None:
                continue
            key = (orphan.guest_id, orphan.host)
            known = before.get(key, _Sighting(orphan, 0))
            if key not in seen or seen[key].orphan.rank < orphan.rank:
                orphan = replace(orphan, since=known.orphan.since)  # noqa: PLW2901 - the same one, seen before
                seen[key] = _Sighting(orphan, self._counted(orphan, known.count + 1))
        self._sightings = seen
        self._looks += 1
        self._tell(before)

    def _counted(self, orphan: Orphan, count: int) -> int:
        """Return how many sightings count: by a host's word alone it is no orphan before the host has said it again.

        What a host told may be old: it may have destroyed the guest since, on an order that is gone by now.
        """
        if self._held.subset.assignment(orphan.guest_id, orphan.host) is not None:
            return count
        record = self._held.records.of(orphan.host)
        if record is not None and record.asked_at > orphan.since.timestamp():
            return count
        self.ask(orphan.host)
        return min(count, SIGHTINGS - 1)

    def _tell(self, before: dict[Key, _Sighting]) -> None:
        for key, sighting in self._sightings.items():
            known = before.get(key)
            if sighting.count >= SIGHTINGS and (known is None or known.count < SIGHTINGS):
                one = sighting.orphan
                log.warning(
                    "orphan_found", guest=one.guest_id, host=one.host, namespace=one.namespace, name=one.name
                )

    def _is_one(self, orphan: Orphan) -> bool:
        """Tell whether nothing happened since the last look that makes it none."""
        subset = self._held.subset
        if orphan.guest_id in subset.guest_keys or subset.host_is_lost(orphan.host):
            return False
        assignment = subset.assignment(orphan.guest_id, orphan.host)
        if assignment is not None:
            return assignment.spec.desired != Desired.DESTROYED
        return orphan.host in self._held.records.holders(orphan.guest_id)

    def _candidates(self, now: datetime) -> Iterator[Orphan | None]:
        """Yield what hosts hold: by Assignments, then by what hosts told; None for what is no orphan."""
        subset = self._held.subset
        for guest_id in [each for each in subset.assignments if each not in subset.guest_keys]:
            for host, assignment in list(subset.assignments_of(guest_id).items()):
                order = None if subset.host_is_lost(host) else self._held.by_assignment(assignment, host)
                if order is None:
                    yield None
                    continue
                yield Orphan(
                    guest_id=guest_id,
                    host=host,
                    namespace=order.namespace,
                    name=order.name,
                    rank=order.rank,
                    since=now,
                    superseded=order.desired == Desired.SUPERSEDED,
                )
        for host, guest_id, guest in self._held.records.guests():
            yield self._told(host, guest_id, guest, now)

    def _told(self, host: str, guest_id: str, guest: HeldGuest, now: datetime) -> Orphan | None:
        """Return what a host told of a guest as an orphan, if it is one."""
        subset = self._held.subset
        keeps = guest.outcome == OrderOutcome.ACCEPTED and guest.desired != Desired.DESTROYED
        if not keeps or guest_id in subset.guest_keys or subset.host_is_lost(host):
            return None
        standing = subset.assignment(guest_id, host)
        if standing is not None and standing.spec.desired == Desired.DESTROYED:
            return None
        return Orphan(
            guest_id=guest_id,
            host=host,
            namespace=guest.namespace,
            name=guest.name,
            rank=guest.rank,
            since=now,
            superseded=guest.desired == Desired.SUPERSEDED,
        )
