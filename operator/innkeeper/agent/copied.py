"""Guests that a store has from the copy it was put back from: they are off, and no newer order of them was read.

Such a guest may have been destroyed since the copy was taken, or live elsewhere. It keeps its room here. Its addresses
go to any guest that has them by an order for this store, since the operator signs none for an address of another.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from innkeeper.agent import admission
from innkeeper.agent.drivers.driver import DomainPhase
from innkeeper.agent.inventory import Inventory
from innkeeper.agent.ledger import HeldGuest, Ledger
from innkeeper.agent.store.records import LocalWish, Ready
from innkeeper.domain.orders import Order
from innkeeper.domain.reasons import Desired, GuestReason
from innkeeper.views.host import Network

_OFF = frozenset({Desired.STOPPED, Desired.SUPERSEDED})


@dataclass(frozen=True)
class Copied:
    """Looks at one host's guests."""

    ledger: Ledger
    inventory: Inventory
    store_id: str
    copied_at: str = ""  # when the copy was taken, as the host tells times; empty where nobody kept it

    def is_copied(self, guest: HeldGuest) -> bool:
        """Tell whether a guest is known by a copy alone."""
        return guest.order.store_id != self.store_id

    def is_unsure(self, guest: HeldGuest) -> bool:
        """Tell whether it is, and nobody has looked yet what lives here of it."""
        return self.is_copied(guest) and not self.inventory.known.is_set()

    def is_let_be(self, guest: HeldGuest, desired: str) -> bool:
        """Tell whether a machine lives and goes on as it does, whatever the copy says: that may be of long ago.

        An order for this store, or a person's word since, says whether it is to be off, or stands still no more.
        """
        phase = self.inventory.phases.get(guest.order.guest_id)
        if not self.is_copied(guest) or phase is None or not phase.alive:
            return False
        if guest.record.wish is not None and not self.is_word_of_copy(guest.record.wish):
            return False
        return desired in _OFF or phase is DomainPhase.PAUSED

    def is_word_of_copy(self, wish: LocalWish | None) -> bool:
        """Tell whether a person at the host wished something before the copy was taken."""
        return wish is not None and wish.at <= self.copied_at

    def waits(self, guest: HeldGuest) -> bool:
        """Tell whether it is off, too."""
        if not self.is_copied(guest):
            return False
        phase = self.inventory.phases.get(guest.order.guest_id)
        return phase is None or not phase.alive

    def on_network(self, network: Network) -> list[Order]:
        """Return the orders of all guests that this host promised to run, but of those whose addresses are another's."""
        promised = list(self.ledger.promised())
        waiting = [each for each in promised if self.waits(each)]
        if not waiting:
            return [each.order for each in promised]
        sure = [each.order for each in promised if not self.waits(each)]
        return [*sure, *(each.order for each in waiting if _shared(each, sure, network) is None)]

    def hold(self, guest: HeldGuest, network: Network) -> Ready | None:
        """Return how a guest stands that must not start, not even by a person's word, or None where it may."""
        if not self.waits(guest):
            return None
        sure = (each.order for each in self.ledger.promised() if not self.waits(each))
        address = _shared(guest, sure, network)
        if address is None:
            return None
        message = (
            "the host's store was put back from a copy, and another guest here has the address "
            f"{address} by a newer order"
        )
        return Ready(status=False, reason=GuestReason.WAITING_FOR_ORDERS, message=message)


def _shared(guest: HeldGuest, others: Iterable[Order], network: Network) -> str | None:
    found = admission.shared(guest.order, others, network)
    return found.address if found is not None else None
