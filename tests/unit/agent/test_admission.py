"""What a host refuses."""

from dataclasses import replace

import msgspec
import pytest

from innkeeper.agent.admission import HostFacts, Unasked, refusal
from innkeeper.agent.drivers.driver import HypervisorKind
from innkeeper.agent.store.records import AddressInUse
from innkeeper.domain.orders import Order
from innkeeper.domain.quantity import Amounts
from innkeeper.views.host import ManagedBridge, Network
from tests.kit.agent_orders import GIB, address, order

FACTS = HostFacts(
    no_network=None,
    in_use=None,
    hypervisor=HypervisorKind.KVM,
    allow_emulation=False,
    # Another guest holds 1 CPU, 1 GiB and 4 GiB of it in the tests below.
    allocatable=Amounts(cpu_millis=3000, memory_bytes=3 * GIB, disk_bytes=12 * GIB),
    network=Network(bridge="br0", vlan=5),
)


def wanting(**amounts: int) -> Order:
    return order(resources=msgspec.structs.replace(order().resources, **amounts))


@pytest.mark.parametrize(
    ("new", "facts", "reason"),
    [
        (order(), FACTS, None),
        (order(), replace(FACTS, no_network="this host has no bridge 'br0'"), "BridgeMissing"),
        (order(), replace(FACTS, hypervisor=HypervisorKind.EMULATION), "EmulationNotAllowed"),
        (order(), replace(FACTS, hypervisor=HypervisorKind.EMULATION, allow_emulation=True), None),
        (wanting(memory_bytes=2 * GIB), FACTS, None),
        (wanting(memory_bytes=2 * GIB + 1), FACTS, "InsufficientCapacity"),
        (wanting(disk_bytes=8 * GIB), FACTS, None),
        (wanting(disk_bytes=9 * GIB), FACTS, "InsufficientCapacity"),
        (wanting(cpu_millis=2000), FACTS, None),
        (wanting(cpu_millis=2001), FACTS, "InsufficientCapacity"),
        (order(2, addresses=[address(11)]), FACTS, "AddressInUse"),
        (order(), replace(FACTS, in_use=AddressInUse("10.0.0.11", "02:00:00:00:00:99")), "AddressInUse"),
        (order(), replace(FACTS, in_use=Unasked("Network is down")), "NetworkFailed"),
    ],
)
def test_refusals(new: Order, facts: HostFacts, reason: str | None) -> None:
    other = order(1) if new.guest_id != order(1).guest_id else order(3)
    found = refusal(new, facts, others=[other])
    assert (found.ready.reason if found else None) == reason
    assert found is None or found.ready.message
    assert (found is not None and found.conflict is not None) == (reason == "AddressInUse")


@pytest.mark.parametrize(
    ("vlan", "network", "is_refused"),
    [
        (None, FACTS.network, True),
        (5, FACTS.network, True),  # said, or left to the host's network: the same VLAN
        (6, FACTS.network, False),
        (6, Network(bridge="br0"), False),
        (
            6,
            Network(managed=ManagedBridge(nat=True)),
            True,
        ),  # the host routes for both, and would not know to whom
    ],
)
def test_two_guests_have_one_address_only_in_two_vlans(
    vlan: int | None, network: Network, *, is_refused: bool
) -> None:
    """As two pools of two address spaces may give it."""
    same = msgspec.structs.replace(order(1).addresses[0], vlan=vlan)
    found = refusal(order(2, addresses=[same]), replace(FACTS, network=network), others=[order(1)])
    assert (found is not None) == is_refused


def test_of_two_interfaces_with_one_address_the_one_that_meets_another_guest_is_named() -> None:
    """The other guest calls its own interface as it likes."""
    taken = msgspec.structs.replace(order(1).addresses[0], interface="lan", vlan=6)
    both = [
        msgspec.structs.replace(taken, interface=name, vlan=vlan) for name, vlan in (("eth0", 7), ("eth1", 6))
    ]
    found = refusal(order(2, addresses=both), FACTS, others=[order(1, addresses=[taken])])
    assert found is not None
    assert found.conflict == AddressInUse(taken.address, taken.mac, "eth1")


def test_a_guest_is_not_in_its_own_way() -> None:
    assert refusal(order(1, epoch=2), FACTS, others=[order(1)]) is None


def test_all_that_was_promised_counts_and_the_message_says_how_much() -> None:
    """One guest more than fits: the sum decides, not each guest for itself."""
    third = order(3, resources=msgspec.structs.replace(order().resources, memory_bytes=GIB + GIB // 2))
    found = refusal(third, FACTS, others=[order(1), order(2)])
    assert found is not None
    assert found.ready.message == (
        "the guest wants 1.5 GiB of memory; this host may promise 3.0 GiB and has promised 2.0 GiB to other guests"
    )
    assert refusal(order(3), FACTS, others=[order(1), order(2)]) is None


def test_a_host_that_may_promise_less_than_it_has_promised_takes_nobody() -> None:
    found = refusal(order(3), replace(FACTS, allocatable=Amounts()), others=[order(1)])
    assert (found.ready.reason if found else None) == "InsufficientCapacity"
