"""Guests as hosts have them, for the fleet that decisions read: what each takes, and whom it keeps out.

Pure. A Guest tells it, or, where there is none, the order that a host still holds.
"""

from innkeeper.domain.orders import Order
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.asking import terms_apart
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.views.guest import Guest


def resident_of(guest: Guest, host: str, amounts: Amounts | None = None) -> Resident:
    """Return a guest as the host that holds a promise for it has it; its bound amounts unless others are given."""
    namespace = guest.metadata.namespace
    return Resident(
        host=host,
        amounts=amounts or Amounts.of(guest.status.resources),
        namespace=namespace,
        labels=guest.metadata.labels,
        apart=terms_apart(guest.spec.placement, namespace),
    )


def resident_by(order: Order, host: str) -> Resident:
    """Return a guest without an object as the host that may hold it has it: as its order says."""
    taken = order.resources
    return Resident(
        host=host,
        amounts=Amounts(taken.cpu_millis, taken.memory_bytes, taken.disk_bytes),
        namespace=order.namespace,
        labels=order.labels,
        apart=terms_apart(order.spec.placement, order.namespace),
    )
