"""Whether this host can keep the promise that an order makes. Pure; the agent alone admits.

The scheduler counts with overcommit and reserve, which the host is not told: the host checks what no overcommit can
change. A guest must fit into the whole machine, its bridge must exist, KVM must work unless emulation is allowed, and
no other guest here may have its address.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from innkeeper.agent.drivers.driver import Capacity, HypervisorKind
from innkeeper.agent.store.records import Ready
from innkeeper.domain.orders import Order
from innkeeper.domain.reasons import GuestReason

_GIB = 1024**3


@dataclass(frozen=True)
class HostFacts:
    """What the decision needs to know of the machine."""

    bridge: str
    bridge_exists: bool
    hypervisor: HypervisorKind
    allow_emulation: bool
    capacity: Capacity


def refusal(order: Order, facts: HostFacts, *, others: Iterable[Order]) -> Ready | None:
    """Return why the order is refused, or None where it is accepted. `others` are the guests accepted before."""
    if facts.hypervisor is HypervisorKind.EMULATION and not facts.allow_emulation:
        return _refused(
            GuestReason.EMULATION_NOT_ALLOWED,
            "KVM does not work on this host, and its Host object does not allow emulation",
        )
    if not facts.bridge_exists:
        return _refused(GuestReason.BRIDGE_MISSING, f"this host has no bridge {facts.bridge!r}")
    return _does_not_fit(order, facts.capacity) or _address_in_use(order, others)


def _does_not_fit(order: Order, capacity: Capacity) -> Ready | None:
    wanted = order.resources
    for what, want, have in (
        ("memory", wanted.memory_bytes, capacity.memory_bytes),
        ("disk", wanted.disk_bytes, capacity.disk_bytes),
    ):
        if want > have:
            return _refused(
                GuestReason.INSUFFICIENT_CAPACITY,
                f"the guest wants {want / _GIB:.1f} GiB of {what}, and the whole host has {have / _GIB:.1f} GiB",
            )
    return None


def _address_in_use(order: Order, others: Iterable[Order]) -> Ready | None:
    mine = {address.address for address in order.addresses}
    for other in others:
        if other.guest_id == order.guest_id:
            continue
        taken = mine & {address.address for address in other.addresses}
        if taken:
            return _refused(
                GuestReason.ADDRESS_IN_USE, f"another guest on this host has the address {min(taken)}"
            )
    return None


def _refused(reason: GuestReason, message: str) -> Ready:
    return Ready(status=False, reason=reason, message=message)
