"""A host promises no more than its admin lets it, whatever the scheduler thinks, and breaks no promise that it gave."""

import asyncio
from typing import Any

import pytest

from innkeeper.agent.drivers.driver import Capacity
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.store.records import AddressInUse
from innkeeper.domain.orders import Order
from innkeeper.kube.resources import HOST_AGENTS
from innkeeper.views.host import Network
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import GIB, guest_id, order
from tests.kit.waiting import eventually


@pytest.fixture
def small(host: AgentHost) -> AgentHost:
    """A machine with room for two guests of `order`, and a third in its disk only."""
    capacity = Capacity(cpu_millis=2000, memory_bytes=2 * GIB, disk_bytes=12 * GIB)
    host.driver._hypervisor = SimulatedDriver(host.clock, capacity=capacity)._hypervisor
    return host


async def ordered(host: AgentHost, **spec: Any) -> None:
    """Tell the host what it may promise, and wait until it has heard."""
    await host.admin.patch(HOST_AGENTS, "host", {"spec": spec}, namespace=host.namespace)

    async def heard() -> bool:
        agent = await host.admin.get(HOST_AGENTS, "host", namespace=host.namespace)
        return agent.status.observed_generation == agent.metadata.generation

    await eventually(heard)


async def fill(host: AgentHost) -> None:
    """Run two guests."""
    host.start()
    for number in (1, 2):
        await host.assign(order(number))
        await host.told(guest_id(number), "Running")


async def refused(host: AgentHost, new: Order) -> str:
    """Order a guest and return why it is refused."""
    await host.assign(new)
    return (await host.told(new.guest_id, "InsufficientCapacity", outcome="Refused")).message


async def test_a_guest_too_many_is_refused_with_numbers(small: AgentHost) -> None:
    await fill(small)
    message = await refused(small, order(3))
    assert message == "the guest wants 1 of CPU; this host may promise 2 and has promised 2 to other guests"
    assert small.driver.running() == {guest_id(1), guest_id(2)}


async def test_ordered_at_once_no_more_are_accepted_than_fit(small: AgentHost) -> None:
    small.start()
    numbers = range(1, 7)
    for number in numbers:
        await small.assign(order(number))

    async def decided() -> bool:
        told = [(await small.assignment(guest_id(number))).status.outcome or "" for number in numbers]
        return sorted(told) == ["Accepted"] * 2 + ["Refused"] * 4

    await eventually(decided)


@pytest.mark.parametrize("came", [(1, 2, 3, 4), (4, 3, 2, 1), (3, 1, 4, 2)], ids=str)
async def test_of_orders_that_cannot_all_be_kept_the_lower_epochs_come_first(
    small: AgentHost, came: tuple[int, ...]
) -> None:
    """A guest that was refused elsewhere before came later by its epoch, whenever its Assignment is seen."""
    epochs = {1: 3, 2: 1, 3: 2, 4: 1}
    for number in came:
        await small.assign(order(number, epoch=epochs[number]))
    small.start()

    async def outcomes() -> dict[int, str | None]:
        return {number: (await small.assignment(guest_id(number))).status.outcome for number in came}

    async def decided() -> bool:
        return None not in (await outcomes()).values()

    await eventually(decided)
    assert await outcomes() == {1: "Refused", 2: "Accepted", 3: "Refused", 4: "Accepted"}


async def test_a_guest_for_which_the_wire_answers_late_keeps_its_place(
    small: AgentHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes after it is not admitted before it; who comes before it, and is refused, does not wait for it."""
    wire, late, asked = small.network.conflict, asyncio.Event(), set()
    all_asked = asyncio.Event()

    async def conflict(order: Order, network: Network) -> AddressInUse | None:
        asked.add(order.guest_id)
        if len(asked) == len(epochs):
            all_asked.set()
        await (late if order.guest_id == guest_id(2) else all_asked).wait()
        return await wire(order, network)

    monkeypatch.setattr(small.network, "conflict", conflict)
    small.network.answering["10.0.0.14"] = "52:54:00:00:00:99"
    epochs = {1: 4, 2: 2, 3: 3, 4: 1}
    for number, epoch in epochs.items():
        await small.assign(order(number, epoch=epoch))
    small.start()
    await small.told(guest_id(4), "AddressInUse", outcome="Refused")
    late.set()
    await small.told(guest_id(1), "InsufficientCapacity", outcome="Refused")
    await small.told(guest_id(2), "Running")
    await small.told(guest_id(3), "Running")


async def test_overcommit_makes_room_and_a_reserve_takes_it(small: AgentHost) -> None:
    await fill(small)
    await ordered(small, overcommit={"cpuPercent": 200, "memoryPercent": 200, "diskPercent": 100})
    await small.assign(order(3))
    await small.told(guest_id(3), "Running")
    assert "of disk" in await refused(small, order(4))
    await ordered(small, reserved={"memory": "1Gi"}, overcommit={"diskPercent": 200})
    assert "2.0 GiB and has promised 3.0 GiB" in await refused(small, order(5))


async def test_changed_settings_evict_nobody_and_a_held_guest_is_never_refused(small: AgentHost) -> None:
    await fill(small)
    await ordered(small, reserved={"cpu": "2", "memory": "2Gi", "disk": "12Gi"})
    await small.kill()
    small.start()
    await small.assign(order(1, serial=2, desired="Stopped"))
    await small.told(guest_id(1), "Stopped")
    await small.assign(order(1, serial=3))
    await small.told(guest_id(1), "Running")
    await small.assign(order(2, epoch=2, serial=2))
    await small.told(guest_id(2), "Running")
    assert "may promise 0" in await refused(small, order(3))
    assert small.driver.running() == {guest_id(1), guest_id(2)}


async def test_refused_and_destroyed_guests_hold_nothing(small: AgentHost) -> None:
    await fill(small)
    await refused(small, order(3))
    await small.assign(order(1, serial=2, desired="Destroyed"))
    await small.told(guest_id(1), "Destroyed", outcome="Destroyed")
    await small.assign(order(4))
    await small.told(guest_id(4), "Running")
    await refused(small, order(5))


async def test_what_may_be_promised_is_kept_while_the_api_server_says_nothing(small: AgentHost) -> None:
    await fill(small)
    await ordered(small, overcommit={"cpuPercent": 150, "memoryPercent": 150})
    await small.kill()
    await small.admin.delete(HOST_AGENTS, "host", namespace=small.namespace)
    small.start()
    await small.assign(order(3))
    await small.told(guest_id(3), "Running")


async def test_a_file_system_that_claims_any_size_is_told_of_within_bounds(host: AgentHost) -> None:
    capacity = Capacity(cpu_millis=2000, memory_bytes=2 * GIB, disk_bytes=1 << 70)
    host.driver._hypervisor = SimulatedDriver(host.clock, capacity=capacity)._hypervisor
    host.start()

    async def told() -> bool:
        agent = await host.admin.get(HOST_AGENTS, "host", namespace=host.namespace)
        return agent.status.capacity is not None and agent.status.capacity.disk == "1Ei"

    await eventually(told)
