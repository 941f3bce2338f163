"""Whom the agent obeys: forged, copied, old and refused orders."""

import base64
from typing import Any

import msgspec
import pytest

from innkeeper.agent.drivers.driver import HypervisorKind
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.store.store import Store
from innkeeper.domain import orders
from innkeeper.domain.orders import Order, OrderInvalidError, Signer
from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS
from innkeeper.views.guest import UserData
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import GIB, HOST, KEYS, SIGNER, STORE, address, guest_id, order
from tests.kit.waiting import eventually, settled

GUEST = guest_id()
STRANGER = Signer(b"\x09" * 32)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (STRANGER.sign(order()), "trust"),
        (SIGNER.sign(order()).replace("Running", "Stopped"), "signature"),
        (SIGNER.sign(order(host="inn-b")), "inn-b"),
        (SIGNER.sign(order(store_id="22222222-2222-4222-8222-222222222222")), "store"),
        (SIGNER.sign(order(2)), "not for"),
        ("nonsense", "envelope"),
    ],
)
async def test_an_order_that_is_not_for_us_starts_nothing(host: AgentHost, text: str, says: str) -> None:
    host.start()
    await host.assign(order(), text=text)
    invalid = await host.told(GUEST, "OrderInvalid", outcome="Invalid")
    assert says in invalid.message
    assert host.driver.starts == {}


@pytest.mark.parametrize(
    "text",
    [
        STRANGER.sign(order(serial=9, desired="Destroyed")),
        SIGNER.sign(order(serial=9, desired="Destroyed", host="inn-b")),
        SIGNER.sign(order(2, serial=9, desired="Destroyed")),
    ],
)
async def test_a_forged_order_destroys_nothing(running: AgentHost, text: str) -> None:
    await running.assign(order(serial=9), text=text)
    await running.told(GUEST, "OrderInvalid", outcome="Invalid")
    assert running.driver.running() == {GUEST}
    assert running.disk(GUEST).exists()
    await running.assign(order(serial=2))
    await running.told(GUEST, "Running")


@pytest.mark.parametrize("old", [order(epoch=3, serial=4, desired="Destroyed"), order(epoch=2, serial=9)])
async def test_an_older_order_is_answered_with_what_is_held(host: AgentHost, old: Order) -> None:
    host.start()
    await host.assign(order(epoch=3, serial=5))
    await host.told(GUEST, "Running")
    await host.assign(old)
    told = await host.told(GUEST, "Running", outcome="Superseded")
    assert told.status == "True"
    held = (await host.assignment(GUEST)).status.held
    assert held is not None
    assert (held.epoch, held.serial) == (3, 5)
    assert host.driver.running() == {GUEST}
    await host.assign(order(epoch=3, serial=6, desired="Stopped"))
    await host.told(GUEST, "Stopped")


@pytest.mark.parametrize("serial", [1, 2, 3])
async def test_a_destroyed_guest_is_never_built_again(running: AgentHost, serial: int) -> None:
    await running.assign(order(serial=2, desired="Destroyed"))
    await running.told(GUEST, "Destroyed", outcome="Destroyed")
    await running.admin.delete(ASSIGNMENTS, GUEST, namespace=running.namespace)
    await running.kill()
    running.start()
    await running.assign(order(serial=serial))
    await running.told(GUEST, "Destroyed", outcome="Destroyed")
    assert running.driver.starts[GUEST] == 1


async def test_a_destruction_under_way_is_never_overtaken(running: AgentHost) -> None:
    running.gates.held.add("before-remove")
    running.disk(GUEST).write_text("what is to be destroyed")
    await running.assign(order(serial=2, desired="Destroyed"))
    await running.gates.reached["before-remove"].wait()
    await running.assign(order(epoch=2, serial=3))
    await settled(lambda: running.driver.starts[GUEST])
    assert running.driver.starts[GUEST] == 1, "nothing is built while the former guest is still taken down"
    running.gates.open()
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 2
    assert running.disk(GUEST).read_text() != "what is to be destroyed"


async def test_a_later_epoch_comes_back_to_where_an_earlier_one_was_destroyed(running: AgentHost) -> None:
    await running.assign(order(serial=2, desired="Destroyed"))
    await running.told(GUEST, "Destroyed", outcome="Destroyed")
    await running.assign(order(epoch=2, serial=3))
    await running.told(GUEST, "Running")


def too_large(**changes: Any) -> Order:
    amounts = msgspec.structs.replace(order().resources, memory_bytes=512 * GIB)
    return order(resources=amounts, **changes)


async def test_a_refusal_is_stored_before_it_is_told_and_final_for_its_epoch(host: AgentHost) -> None:
    host.start()
    await host.assign(too_large())
    refused = await host.told(GUEST, "InsufficientCapacity", outcome="Refused")
    assert "512.0 GiB" in refused.message
    await host.kill()
    store = await Store.open(host.directory / "agent.db", host=HOST, new_id=STORE)
    assert [(each.outcome, each.rank) for each in await store.guests()] == [("Refused", (1, 1))]
    await store.close()

    host.start()
    await host.assign(order(serial=2))
    await host.told(GUEST, "InsufficientCapacity", outcome="Refused")
    assert host.driver.starts == {}
    await host.assign(order(epoch=2, serial=3))
    await host.told(GUEST, "Running")


async def test_of_a_refused_order_nothing_is_kept_that_is_the_guests_own(host: AgentHost) -> None:
    host.start()
    secret = too_large(
        spec={"user_data": UserData(inline="#cloud-config of the guest")}, labels={"team": "a secret team"}
    )
    await host.assign(secret)
    await host.told(GUEST, "InsufficientCapacity", outcome="Refused")
    await host.kill()
    store = await Store.open(host.directory / "agent.db", host=HOST, new_id=STORE)
    (kept,) = await store.guests()
    assert "cloud-config" not in kept.order
    assert "secret team" not in kept.order
    assert orders.peek(kept.order).resources == secret.resources
    with pytest.raises(OrderInvalidError):
        orders.verify(kept.order, KEYS)
    await store.close()

    host.start()
    orders_read = "innkeeper_agent_orders_total"
    await eventually(lambda: host.figure(orders_read, meaning="same") == 1, deadline_s=30)
    await host.told(GUEST, "InsufficientCapacity", outcome="Refused")


async def test_a_refused_guest_holds_nothing(host: AgentHost) -> None:
    host.start()
    await host.assign(too_large())
    await host.told(GUEST, "InsufficientCapacity", outcome="Refused")
    await host.assign(order(2, addresses=[address(11)]))
    await host.told(guest_id(2), "Running")
    assert host.figure("innkeeper_agent_guests") == 1


async def test_two_guests_never_get_one_address(host: AgentHost) -> None:
    host.start()
    numbers = range(1, 6)
    for number in numbers:
        await host.assign(order(number, addresses=[address(99)]))

    async def outcomes() -> list[str]:
        return sorted([(await host.assignment(guest_id(number))).status.outcome or "" for number in numbers])

    async def decided() -> bool:
        return await outcomes() == ["Accepted", *["Refused"] * 4]

    await eventually(decided)
    assert len(host.driver.running()) <= 1


async def test_a_missing_bridge_is_a_refusal(host: AgentHost) -> None:
    await host.admin.patch(
        HOST_AGENTS, "host", {"spec": {"network": {"bridge": "br9"}}}, namespace=host.namespace
    )
    host.start()
    await host.assign(order())
    assert "br9" in (await host.told(GUEST, "BridgeMissing", outcome="Refused")).message


async def test_emulation_is_refused_unless_it_is_allowed(host: AgentHost) -> None:
    host.driver._hypervisor = SimulatedDriver(host.clock, kind=HypervisorKind.EMULATION)._hypervisor
    host.start()
    await host.assign(order())
    await host.told(GUEST, "EmulationNotAllowed", outcome="Refused")
    await host.admin.patch(HOST_AGENTS, "host", {"spec": {"allowEmulation": True}}, namespace=host.namespace)
    await host.assign(order(2))
    await host.told(guest_id(2), "Running")


async def test_a_new_order_key_is_trusted_when_a_trusted_one_signed_it(host: AgentHost) -> None:
    host.start()
    newer = STRANGER
    await host.assign(order(), text=newer.sign(order()))
    await host.told(GUEST, "OrderInvalid", outcome="Invalid")
    offered = {
        "id": newer.key_id,
        "publicKey": base64.b64encode(newer.public_key).decode(),
        "signedBy": SIGNER.key_id,
        "signature": SIGNER.endorse(newer.public_key),
    }
    await host.admin.patch(HOST_AGENTS, "host", {"spec": {"orderKeys": [offered]}}, namespace=host.namespace)
    await host.told(GUEST, "Running")
    await host.kill()
    await host.admin.delete(HOST_AGENTS, "host", namespace=host.namespace)
    host.start()
    await host.assign(order(serial=2, desired="Stopped"), text=newer.sign(order(serial=2, desired="Stopped")))
    await host.told(GUEST, "Stopped")


async def test_a_store_that_was_lost_says_that_it_holds_nothing(running: AgentHost) -> None:
    await running.kill()
    for file in running.directory.glob("agent.db*"):
        file.unlink()
    running.start()
    invalid = await running.told(GUEST, "OrderInvalid", outcome="Invalid")
    assert "replaced" in invalid.message
    assert (await running.assignment(GUEST)).status.held is None
    assert running.driver.running() == {GUEST}, "a machine that no record knows is left alone"


async def test_nothing_is_decided_before_the_host_knows_its_own_orders(host: AgentHost) -> None:
    spec = (await host.admin.get(HOST_AGENTS, "host", namespace=host.namespace)).spec
    await host.admin.delete(HOST_AGENTS, "host", namespace=host.namespace)
    host.start()
    await host.assign(order())
    await eventually(lambda: host.figure("innkeeper_agent_orders_total", meaning="admit") >= 1)
    assert (await host.assignment(GUEST)).status.outcome is None
    body = {
        "metadata": {"name": "host"},
        "spec": {"cluster": "c", "network": {"bridge": spec.network.bridge}},
    }
    await host.admin.create(HOST_AGENTS, body, namespace=host.namespace)
    await host.told(GUEST, "Running")
