"""The guests of this host in memory, always behind the store: written there first, then shown.

Beside each record it keeps what is shown of a guest at the moment (a step of its build), which is worth no write.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from innkeeper.agent.store.records import GuestRecord, Life, Ready, Tombstone
from innkeeper.agent.store.store import Store
from innkeeper.clock import Clock, rfc3339
from innkeeper.domain import orders
from innkeeper.domain.orders import Order, Rank
from innkeeper.domain.reasons import GuestReason, OrderOutcome
from innkeeper.to_its_end import to_its_end

# On the way: neither a failure nor an end, so it may wait for the next write.
_ON_THE_WAY = frozenset(
    {
        GuestReason.ACCEPTED,
        GuestReason.STREAMING,
        GuestReason.PREPARING_DISK,
        GuestReason.STARTING,
        GuestReason.STOPPING,
        GuestReason.DELETING,
    }
)


@dataclass(frozen=True)
class HeldGuest:
    """A guest, its order, and how it stands at the moment."""

    record: GuestRecord
    order: Order
    shown: Ready


ShownCallback = Callable[[str, bool], None]  # Guest ID, whether it is urgent


class Ledger:
    """All guests by Guest ID."""

    def __init__(self, store: Store, clock: Clock, *, on_shown: ShownCallback) -> None:
        self._store = store
        self._clock = clock
        self._on_shown = on_shown
        self._guests: dict[str, HeldGuest] = {}
        # Writes one after another: a record made from what was held must not land after a newer order.
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read all guests from the store. Their orders were verified before they were kept."""
        for record in await self._store.guests():
            self._guests[record.guest_id] = HeldGuest(record, orders.peek(record.order), record.ready)

    def get(self, guest_id: str) -> HeldGuest | None:
        """Return a guest, if it is here (a refused one included)."""
        return self._guests.get(guest_id)

    def accepted(self) -> Iterator[HeldGuest]:
        """Yield the guests that this host promised to run."""
        return (guest for guest in self._guests.values() if guest.record.outcome == OrderOutcome.ACCEPTED)

    def __len__(self) -> int:
        return sum(1 for _ in self.accepted())

    async def tombstone(self, guest_id: str) -> Tombstone | None:
        """Return the tombstone of a guest that was destroyed here."""
        return await self._store.tombstone(guest_id)

    async def put(self, record: GuestRecord, order: Order, *, what: str) -> None:
        """Keep a guest with a new order."""
        async with self._writing:
            await to_its_end(self._store.put(record, what=what, at=self._now()))
            self._guests[record.guest_id] = HeldGuest(record, order, record.ready)
        self._on_shown(record.guest_id, record.outcome == OrderOutcome.REFUSED)

    async def settle(self, guest_id: str, *, life: Life, ready: Ready, shown: Ready | None = None) -> None:
        """Keep how a guest stands now, if it stood otherwise; show it, or `shown`, which has another message."""
        async with self._writing:
            held = self._guests.get(guest_id)
            if held is not None and (held.record.life, held.record.ready) != (life, ready):
                record = replace(held.record, life=life, ready=ready)
                await to_its_end(self._store.put(record, what=ready.reason, at=self._now()))
                self._guests[guest_id] = replace(held, record=record)
        self.show(guest_id, shown or ready)

    def show(self, guest_id: str, ready: Ready) -> None:
        """Show how a guest stands at the moment, without keeping it."""
        held = self._guests.get(guest_id)
        if held is None or held.shown == ready:
            return
        self._guests[guest_id] = replace(held, shown=ready)
        runs_on = ready.status and ready.reason == held.shown.reason  # only how much of its image is here
        is_news = ready.reason not in _ON_THE_WAY and not runs_on
        self._on_shown(guest_id, ready.status != held.shown.status or is_news)

    async def bury(self, guest_id: str, rank: Rank) -> None:
        """Replace a guest by its tombstone."""
        async with self._writing:
            await to_its_end(self._store.bury(Tombstone(guest_id, rank), at=self._now()))
            self._guests.pop(guest_id, None)

    def _now(self) -> str:
        return rfc3339(self._clock.now())
