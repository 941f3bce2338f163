"""Whether this host can keep the promise that an order makes. Pure; the agent alone admits.

A guest must fit beside all that was accepted before, within what the admin lets this host promise; its bridge must exist,
KVM must work unless emulation is allowed, and nobody may have its addresses: no other guest here in the same VLAN, no
machine that answers on the wire, which must have been asked. It is asked about guests that are new here only: a setting
that changes evicts nobody.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from innkeeper.agent.drivers.driver import HypervisorKind
from innkeeper.agent.net.ports import Segment, segment_of
from innkeeper.agent.store.records import AddressInUse, Ready
from innkeeper.domain.orders import Order, OrderAddress
from innkeeper.domain.quantity import Amounts, format_cpu
from innkeeper.domain.reasons import GuestReason
from innkeeper.views.host import Network

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
class Unasked:
    """Nobody could be asked whether the addresses are free, and why."""

    why: str


@dataclass(frozen=True)
class HostFacts:
    """What the decision needs to know of the machine."""

    no_network: str | None  # why the guest cannot be plugged in here
    in_use: AddressInUse | Unasked | None  # who answered for one of its addresses; None where all are silent
    hypervisor: HypervisorKind
    allow_emulation: bool
    allocatable: Amounts
    network: Network


@dataclass(frozen=True)
class Refusal:
    """Why an order is refused, and the address where that is the reason."""

    ready: Ready
    conflict: AddressInUse | None = None


def refusal(
    order: Order, facts: HostFacts, *, others: Iterable[Order], waiting: Iterable[Order] = ()
) -> Refusal | None:
    """Return why the order is refused, or None where it is accepted. `others` are the guests accepted before.

    `waiting` are accepted guests that a copy of the store alone knows: they hold their room, and not their addresses.
    """
    if facts.hypervisor is HypervisorKind.EMULATION and not facts.allow_emulation:
        return _refused(
            GuestReason.EMULATION_NOT_ALLOWED,
            "KVM does not work on this host, and its Host object does not allow emulation",
        )
    if facts.no_network is not None:
        return _refused(GuestReason.BRIDGE_MISSING, facts.no_network)
    beside = [other for other in others if other.guest_id != order.guest_id]
    holding = [other for other in waiting if other.guest_id != order.guest_id]
    return (
        _does_not_fit(order, facts.allocatable, [*beside, *holding])
        or _address_in_use(order, facts.network, beside)
        or _answered(facts.in_use)
    )


def _does_not_fit(order: Order, allocatable: Amounts, others: Iterable[Order]) -> Refusal | None:
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


def shared(order: Order, others: Iterable[Order], network: Network) -> OrderAddress | None:
    """Return an address of the order that one of the others has, as that one has it."""
    mine = {_used(address, network) for address in order.addresses}
    taken = (address for other in others for address in other.addresses)
    return next((address for address in taken if _used(address, network) in mine), None)


def _address_in_use(order: Order, network: Network, others: Iterable[Order]) -> Refusal | None:
    taken = shared(order, others, network)
    if taken is None:
        return None
    message = f"another guest on this host has the address {taken.address}"
    own = next(each for each in order.addresses if _used(each, network) == _used(taken, network))
    return _refused(
        GuestReason.ADDRESS_IN_USE, message, AddressInUse(taken.address, taken.mac, own.interface)
    )


def _used(address: OrderAddress, network: Network) -> tuple[Segment | None, str]:
    """Return what only one guest here can have: VLANs know nothing of each other, but for a host that routes for all."""
    return None if network.is_behind_hosts else segment_of(address, network), address.address


def _answered(found: AddressInUse | Unasked | None) -> Refusal | None:
    if found is None:
        return None
    if isinstance(found, Unasked):
        message = f"it cannot be asked whether the guest's addresses are free: {found.why}"
        return _refused(GuestReason.NETWORK_FAILED, message)
    message = f"the machine {found.mac} on the wire has the address {found.address}: free it, or exclude it in its IPPool"
    return _refused(GuestReason.ADDRESS_IN_USE, message, found)


def _refused(reason: GuestReason, message: str, conflict: AddressInUse | None = None) -> Refusal:
    return Refusal(Ready(status=False, reason=reason, message=message), conflict)
