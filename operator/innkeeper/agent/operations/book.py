"""The operations that this host began, in memory behind the store: written there first, then told.

It decides nothing. What is not in it was never begun here.
"""

from collections import defaultdict
from collections.abc import Callable

from innkeeper.agent.store.operations import KEPT_OF_A_GUEST, OperationRecord
from innkeeper.agent.store.store import Store
from innkeeper.domain.orders import Order, OrderOperation
from innkeeper.to_its_end import to_its_end


class OperationBook:
    """What became of each operation. `on_news` is called with the Guest ID."""

    def __init__(self, store: Store, *, on_news: Callable[[str], None]) -> None:
        self._store = store
        self._on_news = on_news
        self._of_guest: defaultdict[str, dict[str, OperationRecord]] = defaultdict(dict)

    async def load(self) -> None:
        """Read what was begun before."""
        for record in await self._store.operations():
            self._of_guest[record.guest_id][record.id] = record

    def get(self, order: Order) -> OperationRecord | None:
        """Return what became of the operation in an order, if it was begun."""
        if order.operation is None:
            return None
        return self._of_guest.get(order.guest_id, {}).get(order.operation.id)

    def due(self, order: Order) -> OrderOperation | None:
        """Return the operation in an order where it is not over."""
        record = self.get(order)
        return None if record is not None and record.phase.is_final else order.operation

    async def put(self, record: OperationRecord) -> OperationRecord:
        """Keep how far an operation is."""
        await to_its_end(self._store.put_operation(record))
        kept = self._of_guest[record.guest_id]
        kept[record.id] = record
        if len(kept) > KEPT_OF_A_GUEST:
            del kept[next(iter(kept))]
        self._on_news(record.guest_id)
        return record

    def forget(self, guest_id: str) -> None:
        """Drop a guest that was destroyed; the store did so with its tombstone."""
        self._of_guest.pop(guest_id, None)
