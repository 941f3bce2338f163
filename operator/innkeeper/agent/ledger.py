"""The guests of this host in memory, always behind the store: written there first, then shown.

Beside each record it keeps what is shown of a guest at the moment (a step of its build), which is worth no write of its
own: such steps go into the guest's history with the next write, or a few seconds later, those of all guests at once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from innkeeper.agent.steps import PendingSteps
from innkeeper.agent.store.records import GuestRecord, Life, LocalWish, Ready, Tombstone
from innkeeper.agent.store.store import Store
from innkeeper.clock import Clock, rfc3339
from innkeeper.domain import orders
from innkeeper.domain.host_store import Step
from innkeeper.domain.orders import Order
from innkeeper.domain.reasons import Desired, GuestReason, OrderOutcome, counted_as
from innkeeper.errors import InnkeeperError
from innkeeper.to_its_end import to_its_end

STEPS_WAIT_S = 5.0

# On the way: neither a failure nor an end, so it may wait for the next write.
_ON_THE_WAY = frozenset(
    {
        GuestReason.ACCEPTED,
        GuestReason.WAITING_FOR_ORDERS,
        GuestReason.STREAMING,
        GuestReason.PREPARING_DISK,
        GuestReason.STARTING,
        GuestReason.STOPPING,
        GuestReason.REBOOTING,
        GuestReason.DELETING,
    }
)


@dataclass(frozen=True)
class HeldGuest:
    """A guest, its order, and how it stands at the moment."""

    record: GuestRecord
    order: Order
    shown: Ready

    @property
    def is_promised(self) -> bool:
        """Whether capacity and addresses are held for it: not once it is off here and lives elsewhere."""
        is_left = (
            self.order.desired == Desired.SUPERSEDED and self.record.ready.reason == GuestReason.SUPERSEDED
        )
        return self.record.outcome == OrderOutcome.ACCEPTED and not is_left

    @property
    def built_epoch(self) -> int | None:
        """The epoch of the order by which it has a disk here; None where it has none yet."""
        is_built = self.record.outcome == OrderOutcome.ACCEPTED and self.record.life is not Life.NEW
        return self.record.rank.epoch if is_built else None

    @property
    def start_rank(self) -> tuple[int, str, str]:
        """What guests that are to start compare by: the higher priority first, then who was promised earlier."""
        return (-self.order.spec.priority, self.record.accepted_at, self.order.guest_id)


ShownCallback = Callable[[str, bool], None]  # Guest ID, whether it is urgent


class Ledger:
    """All guests by Guest ID. `boot_id` is that of the host's machine; empty where nobody knows it."""

    def __init__(self, store: Store, clock: Clock, *, on_shown: ShownCallback, boot_id: str = "") -> None:
        self._store = store
        self._clock = clock
        self._on_shown = on_shown
        self._boot_id = boot_id
        self._guests: dict[str, HeldGuest] = {}
        self.held_guests_at_start = False  # not so where the store was lost: others may run here
        self._steps = PendingSteps(clock)
        self._log = structlog.get_logger(__name__)
        # Writes one after another: a record made from what was held must not land after a newer order.
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read all guests from the store. Their orders were verified before they were kept."""
        for record in await self._store.guests():
            self._guests[record.guest_id] = HeldGuest(record, orders.peek(record.order), record.ready)
            self._steps.stands(record.guest_id, record.ready)
        self.held_guests_at_start = len(self) > 0

    def get(self, guest_id: str) -> HeldGuest | None:
        """Return a guest, if it is here (a refused one included)."""
        return self._guests.get(guest_id)

    def all(self) -> Iterator[HeldGuest]:
        """Yield every guest, refused ones included."""
        return iter(self._guests.values())

    def by_reason(self) -> Counter[str]:
        """Return how many guests there are by the reason that is shown of each, refused ones included."""
        return Counter(counted_as(each.shown.reason, GuestReason) for each in self._guests.values())

    def accepted(self) -> Iterator[HeldGuest]:
        """Yield the guests whose orders were accepted, also those that live elsewhere by now."""
        return (guest for guest in self._guests.values() if guest.record.outcome == OrderOutcome.ACCEPTED)

    def promised(self) -> Iterator[HeldGuest]:
        """Yield the guests that this host promised to run."""
        return (guest for guest in self._guests.values() if guest.is_promised)

    def __len__(self) -> int:
        return sum(1 for _ in self.promised())

    async def tombstone(self, guest_id: str) -> Tombstone | None:
        """Return the tombstone of a guest that was destroyed here."""
        return await self._store.tombstone(guest_id)

    async def put(self, record: GuestRecord, order: Order, *, what: str) -> None:
        """Keep a guest with a new order."""
        await self.change(order, lambda _: record, what=what)

    async def change(
        self, order: Order, make: Callable[[HeldGuest | None], GuestRecord | None], *, what: str
    ) -> None:
        """Keep a guest with a new order: `make` says how, from how it is held once all earlier writes are done.

        Where it says None, nothing is kept.
        """
        async with self._writing:
            record = make(self._guests.get(order.guest_id))
            if record is None:
                return
            await to_its_end(self._keep(HeldGuest(record, order, record.ready), what=what))
        self._on_shown(record.guest_id, record.outcome == OrderOutcome.REFUSED)

    async def settle(self, guest_id: str, *, life: Life, ready: Ready, shown: Ready | None = None) -> None:
        """Keep how a guest stands now, if it stood otherwise; show it, or `shown`, which has another message."""
        async with self._writing:
            held = self._guests.get(guest_id)
            if held is None:
                return
            lives = life in {Life.UP, Life.PAUSED}
            record = replace(
                held.record, life=life, ready=ready, boot=self._boot_id if lives else held.record.boot
            )
            if record != held.record:
                await to_its_end(self._keep(replace(held, record=record), what=ready.reason))
        self.show(guest_id, shown or ready)

    def lived_in_this_boot(self, guest: HeldGuest) -> bool:
        """Tell whether a guest's machine was kept as alive since the host's machine booted."""
        return bool(self._boot_id) and guest.record.boot == self._boot_id

    def show(self, guest_id: str, ready: Ready) -> None:
        """Show how a guest stands at the moment, without keeping it."""
        held = self._guests.get(guest_id)
        if held is None or held.shown == ready:
            return
        self._guests[guest_id] = replace(held, shown=ready)
        self._steps.note(guest_id, ready)
        runs_on = ready.status and ready.reason == held.shown.reason  # only how much of its image is here
        is_news = ready.reason not in _ON_THE_WAY and not runs_on
        self._on_shown(guest_id, ready.status != held.shown.status or is_news)

    async def wish(self, guest_id: str, wish: LocalWish | None, *, life: Life) -> None:
        """Keep what a person at the host wants of a guest."""
        async with self._writing:
            held = self._guests[guest_id]
            what = f"{wish.power} at the host" if wish else "wish at the host ended"
            record = replace(held.record, wish=wish, life=life)
            await to_its_end(self._keep(replace(held, record=record), what=what))

    async def bury(self, order: Order, text: str, *, forgotten: str = "") -> None:
        """Replace a guest by its tombstone, with the order to destroy it as it was signed."""
        tombstone = Tombstone(order.guest_id, order.rank, text, order.namespace, order.name, forgotten)
        async with self._writing:
            await to_its_end(self._bury(tombstone))

    async def forget(self, order: Order, *, by: str) -> None:
        """Replace a guest by a tombstone that a person made; `by` says who and when."""
        tombstone = Tombstone(order.guest_id, order.rank, None, order.namespace, order.name, by)
        async with self._writing:
            await to_its_end(self._bury(tombstone))

    async def keep_history(self) -> None:
        """Write for ever the steps that no other write took along, those of all guests in one commit."""
        while True:
            await self._steps.wait()
            await self._clock.sleep(STEPS_WAIT_S)
            try:
                await self.flush_history()
            except InnkeeperError as error:
                self._log.warning("history_not_kept", reason=error.reason, message=error.message)

    async def flush_history(self) -> None:
        """Write the steps that wait."""
        async with self._writing:
            await to_its_end(self._keep_steps(self._steps.all()))

    async def _keep(self, held: HeldGuest, *, what: str) -> None:
        """Write a guest with the steps that led here, and then hold it so."""
        guest_id = held.record.guest_id
        self._steps.note(guest_id, held.record.ready)
        taken = self._steps.of(guest_id)
        await self._store.put(held.record, what=what, at=self._now(), steps=taken)
        self._guests[guest_id] = held
        self._steps.written({guest_id: taken})

    async def _keep_steps(self, taken: Mapping[str, Sequence[Step]]) -> None:
        if taken:
            await self._store.add_steps(taken, at=self._now())
            self._steps.written(taken)

    async def _bury(self, tombstone: Tombstone) -> None:
        await self._store.bury(tombstone, at=self._now())
        self._guests.pop(tombstone.guest_id, None)
        self._steps.forget(tombstone.guest_id)

    def _now(self) -> str:
        return rfc3339(self._clock.now())
