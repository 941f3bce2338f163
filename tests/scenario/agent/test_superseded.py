"""A guest that lives elsewhere: it is stopped and kept, holds nothing of its host, and comes back by a higher epoch."""

import asyncio
import shutil

import pytest
import structlog

from innkeeper.agent.drivers.driver import Capacity
from innkeeper.agent.drivers.simulated import SimulatedDriver
from tests.kit.agent_host import SHORT_GRACE_S, AgentHost
from tests.kit.agent_orders import GIB, address, guest_id, order
from tests.kit.waiting import eventually, settled

GUEST = guest_id()
ELSEWHERE = order(epoch=2, desired="Superseded", image=None, addresses=[])


async def left(running: AgentHost) -> None:
    await running.assign(ELSEWHERE)
    told = await running.told(GUEST, "Superseded")
    assert told.status == "False"


async def test_it_is_stopped_and_its_disk_is_kept(running: AgentHost) -> None:
    running.disk(GUEST).write_text("what the guest wrote")
    await left(running)
    assert running.driver.running() == set()
    assert running.disk(GUEST).read_text() == "what the guest wrote"
    assert running.images.users == {GUEST}, "its disk lies over the image"


async def test_nothing_starts_it_neither_older_orders_nor_a_reboot(running: AgentHost) -> None:
    await left(running)
    await running.kill()
    running.reboot()
    await running.api.down()
    running.api_grace_s = SHORT_GRACE_S
    with structlog.testing.capture_logs() as logged:
        running.start()
        await eventually(lambda: any(each["event"] == "starts_allowed" for each in logged))
    await settled(lambda: running.driver.starts[GUEST])
    await running.api.up()
    await running.assign(order(epoch=1, serial=9))
    await running.told(GUEST, "Superseded", outcome="Superseded")
    assert running.driver.starts[GUEST] == 1


async def test_another_serial_of_the_epoch_in_which_it_left_is_refused_with_a_reason(
    running: AgentHost,
) -> None:
    await left(running)
    await running.assign(order(epoch=2, serial=2))
    told = await running.told(GUEST, "OrderInvalid", outcome="Invalid")
    assert "higher epoch" in told.message
    orders = "innkeeper_agent_orders_total"
    assert (running.figure(orders, meaning="lives_elsewhere"), running.figure(orders, meaning="invalid")) == (
        1,
        0,
    )
    assert running.driver.running() == set()


async def test_it_holds_neither_capacity_nor_address(running: AgentHost) -> None:
    await left(running)
    assert running.figure("innkeeper_agent_guests") == 0
    heir = order(2, addresses=[address(11, guest=guest_id(2))])
    await running.assign(heir)
    await running.told(guest_id(2), "Running")


async def test_it_comes_back_with_its_disk_if_it_fits(running: AgentHost) -> None:
    running.disk(GUEST).write_text("what the guest wrote")
    await left(running)
    await running.assign(order(epoch=3))
    await running.told(GUEST, "Running")
    assert running.disk(GUEST).read_text() == "what the guest wrote"
    assert running.driver.running() == {GUEST}


async def test_an_order_to_destroy_ends_it(running: AgentHost) -> None:
    await left(running)
    await running.assign(order(epoch=2, serial=2, desired="Destroyed", image=None, addresses=[]))
    await running.told(GUEST, "Destroyed", outcome="Destroyed")
    assert not running.disk(GUEST).parent.exists()


@pytest.mark.parametrize(
    "mac", [order().addresses[0].mac, "52:54:00:00:00:99"], ids=["its own", "a stranger's"]
)
async def test_it_does_not_come_back_while_somebody_answers_for_its_address(
    running: AgentHost, mac: str
) -> None:
    """Not by the second order either: one that was refused is asked about anew, and its old machine proves nothing."""
    rests = {"restart_policy": "OnFailure"}
    await running.assign(order(serial=2, spec=rests))
    await left(running)
    running.network.answering["10.0.0.11"] = mac
    for epoch in (3, 4):
        await running.assign(order(epoch=epoch, spec=rests))
        await running.told(GUEST, "AddressInUse", outcome="Refused")
    assert running.driver.running() == set()
    running.network.answering.clear()
    await running.assign(order(epoch=5, spec=rests))
    await running.told(GUEST, "Running")


async def test_it_comes_back_to_no_host_that_is_full_by_now(host: AgentHost) -> None:
    capacity = Capacity(cpu_millis=1000, memory_bytes=GIB, disk_bytes=4 * GIB)
    host.driver._hypervisor = SimulatedDriver(host.clock, capacity=capacity)._hypervisor
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    await left(host)
    await host.assign(order(2))
    await host.told(guest_id(2), "Running")
    for epoch in (3, 4):
        await host.assign(order(epoch=epoch))
        await host.told(GUEST, "InsufficientCapacity", outcome="Refused")
    assert host.driver.running() == {guest_id(2)}


async def test_it_comes_back_to_a_new_disk_where_a_person_removed_the_old_one(running: AgentHost) -> None:
    await left(running)
    await asyncio.to_thread(shutil.rmtree, running.disk(GUEST).parent)
    await running.assign(order(epoch=3))
    await running.told(GUEST, "Running")
