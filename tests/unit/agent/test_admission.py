"""What a host refuses."""

from dataclasses import replace

import msgspec
import pytest

from innkeeper.agent.admission import HostFacts, refusal
from innkeeper.agent.drivers.driver import Capacity, HypervisorKind
from innkeeper.domain.orders import Order
from tests.kit.agent_orders import GIB, address, order

FACTS = HostFacts(
    bridge="br0",
    bridge_exists=True,
    hypervisor=HypervisorKind.KVM,
    allow_emulation=False,
    capacity=Capacity(cpu_millis=2000, memory_bytes=2 * GIB, disk_bytes=8 * GIB),
)


def wanting(**amounts: int) -> Order:
    return order(resources=msgspec.structs.replace(order().resources, **amounts))


@pytest.mark.parametrize(
    ("new", "facts", "reason"),
    [
        (order(), FACTS, None),
        (order(), replace(FACTS, bridge_exists=False), "BridgeMissing"),
        (order(), replace(FACTS, hypervisor=HypervisorKind.EMULATION), "EmulationNotAllowed"),
        (order(), replace(FACTS, hypervisor=HypervisorKind.EMULATION, allow_emulation=True), None),
        (wanting(memory_bytes=2 * GIB), FACTS, None),
        (wanting(memory_bytes=2 * GIB + 1), FACTS, "InsufficientCapacity"),
        (wanting(disk_bytes=9 * GIB), FACTS, "InsufficientCapacity"),
        (order(2, addresses=[address(11)]), FACTS, "AddressInUse"),
    ],
)
def test_refusals(new: Order, facts: HostFacts, reason: str | None) -> None:
    other = order(1) if new.guest_id != order(1).guest_id else order(3)
    found = refusal(new, facts, others=[other])
    assert (found.reason if found else None) == reason
    assert found is None or found.message


def test_a_guest_is_not_in_its_own_way() -> None:
    assert refusal(order(1, epoch=2), FACTS, others=[order(1)]) is None
