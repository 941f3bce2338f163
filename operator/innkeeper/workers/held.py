"""What hosts hold of a guest, as far as it is known: by their Assignments, and by what they were heard to hold.

Only orders that are ours count. Nothing is asked of anybody here.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from innkeeper.domain.lifecycle.answered import may_hold
from innkeeper.domain.lifecycle.revival import HeldOrder
from innkeeper.domain.orders import Order
from innkeeper.domain.reasons import Desired, OrderOutcome
from innkeeper.state.host_records import HeldGuest, HostRecords
from innkeeper.state.subset import Subset
from innkeeper.views.assignment import Assignment
from innkeeper.workers.order_reader import OrderReader


class HeldByHosts:
    """Looks into both places. The records may be empty, where no host can be asked."""

    def __init__(self, subset: Subset, records: HostRecords, orders: OrderReader) -> None:
        self.subset = subset
        self.records = records
        self.orders = orders

    def order(self, guest_id: str, host: str) -> HeldOrder | None:
        """Return the latest order by which a host keeps a guest, or its disk alone, where the text is known."""
        read = (self._read(text, guest_id, host) for text in self._texts(guest_id, host))
        found = [each for each in read if each is not None]
        heard = self.records.holders(guest_id).get(host)
        if not found or heard is None:
            return max(found, key=lambda each: each.order.rank, default=None)
        return replace(max(found, key=lambda each: each.order.rank), since=heard.since)

    def by_assignment(self, assignment: Assignment, host: str) -> Order | None:
        """Return the order by which an Assignment has its host keep a guest, or its disk alone, if it does."""
        if assignment.status.outcome == OrderOutcome.INVALID or not may_hold(assignment):
            return None
        held = self._read(assignment.spec.order, assignment.spec.guest_id, host)
        return held.order if held is not None else None

    def is_held(self, guest_id: str, *, but: str | None = None) -> bool:
        """Tell whether some host, `but` that one, was heard to hold a guest and is not lost: it uses its addresses."""
        holders = self.records.holders(guest_id).items()
        return any(
            host != but and _uses_addresses(each) and not self.subset.host_is_lost(host)
            for host, each in holders
        )

    def is_denied(self, guest_id: str, host: str, since: datetime) -> bool:
        """Tell whether a host that was asked after a moment told all that it holds, and no guest of that ID.

        By whose order it holds one is no matter here: a guest whose order is signed by a key that is out of use runs on.
        """
        record = self.records.of(host)
        if record is None or record.asked_at <= since.timestamp() or guest_id in record.foreign:
            return False
        held = record.guests.get(guest_id)
        return held is None or not _uses_addresses(held)

    def _texts(self, guest_id: str, host: str) -> Iterator[str]:
        assignment = self.subset.assignment(guest_id, host)
        if assignment is not None:
            yield assignment.spec.order
        held = self.records.holders(guest_id).get(host)
        if held is not None and held.text is not None:
            yield held.text

    def _read(self, text: str, guest_id: str, host: str) -> HeldOrder | None:
        order = self.orders.read(text, guest_id=guest_id)
        if order is None or order.host != host or order.desired == Desired.DESTROYED:
            return None
        return HeldOrder(order=order, text=text)


def _uses_addresses(guest: HeldGuest) -> bool:
    return guest.outcome == OrderOutcome.ACCEPTED and guest.desired != Desired.SUPERSEDED
