"""Whether this host can keep the promise that an order makes. Pure; the agent alone admits.

A guest must fit beside all that was accepted before, within what the admin lets this host promise; its bridge must exist,
KVM must work unless emulation is allowed, and no other guest here may have its address. It is asked about guests that
are new here only: a setting that changes evicts nobody.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from innkeeper.agent.drivers.driver import HypervisorKind
from innkeeper.agent.store.records import Ready
from innkeeper.domain.orders import Order
from innkeeper.domain.quantity import Amounts, format_cpu
from innkeeper.domain.reasons import GuestReason

_GIB = 1024**3


def _gib(count: int) -> str:
    return f"{count / _GIB:.1f} GiB"


# What it is called, how much of it there is in some amounts, how people read it.
_RESOURCES: tuple[tuple[str, Callable[[Amounts], int], Callable[[int], str]], ...] = (
    ("CPU", lambda amounts: amounts.cpu_millis, format_cpu),
    ("memory", lambda amounts: amounts.memory_bytes, _gib),
    ("disk", lambda amounts: amounts.disk_bytes, _gib),
)


@dataclass(frozen=True)
class HostFacts:
    """What the decision needs to know of the machine."""

    bridge: str
    bridge_exists: bool
    hypervisor: HypervisorKind
    allow_emulation: bool
    allocatable: Amounts


def refusal(order: Order, facts: HostFacts, *, others: Iterable[Order]) -> Ready | None:
    """Return why the order is refused, or None where it is accepted. `others` are the guests accepted before."""
    if facts.hypervisor is HypervisorKind.EMULATION and not facts.allow_emulation:
        return _refused(
            GuestReason.EMULATION_NOT_ALLOWED,
            "KVM does not work on this host, and its Host object does not allow emulation",
        )
    if not facts.bridge_exists:
        return _refused(GuestReason.BRIDGE_MISSING, f"this host has no bridge {facts.bridge!r}")
    beside = [other for other in others if other.guest_id != order.guest_id]
    return _does_not_fit(order, facts.allocatable, beside) or _address_in_use(order, beside)


def _does_not_fit(order: Order, allocatable: Amounts, others: Iterable[Order]) -> Ready | None:
    wanted = _amounts(order)
    held = sum((_amounts(other) for other in others), Amounts())
    for what, read, shown in _RESOURCES:
        want, taken, most = read(wanted), read(held), read(allocatable)
        if taken + want > most:
            return _refused(
                GuestReason.INSUFFICIENT_CAPACITY,
                f"the guest wants {shown(want)} of {what}; this host may promise {shown(most)} and has promised "
                f"{shown(taken)} to other guests",
            )
    return None


def _amounts(order: Order) -> Amounts:
    wanted = order.resources
    return Amounts(wanted.cpu_millis, wanted.memory_bytes, wanted.disk_bytes)


def _address_in_use(order: Order, others: Iterable[Order]) -> Ready | None:
    mine = {address.address for address in order.addresses}
    for other in others:
        taken = mine & {address.address for address in other.addresses}
        if taken:
            return _refused(
                GuestReason.ADDRESS_IN_USE, f"another guest on this host has the address {min(taken)}"
            )
    return None


def _refused(reason: GuestReason, message: str) -> Ready:
    return Ready(status=False, reason=reason, message=message)
