"""An order key changes: the host learns the new one from what the operator publishes, and can forget the old one."""

from innkeeper.domain.orders import Signer
from innkeeper.kube.resources import HOST_AGENTS
from innkeeper.processes.order_key import OrderKeys
from innkeeper.views.host import Host, HostSpec, Network
from innkeeper.views.meta import Meta
from innkeeper.workers.hosts import identity
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import HOST, SIGNER, guest_id, order
from tests.kit.waiting import eventually

SECOND, THIRD = Signer(b"\x02" * 32), Signer(b"\x03" * 32)
GUEST = guest_id()


async def publish(host: AgentHost, keys: OrderKeys) -> None:
    """Write the HostAgent as the operator does, and wait until the agent has seen it."""
    of = Host(metadata=Meta(name=HOST), spec=HostSpec(cluster="c"))
    spec = identity.host_orders(of, network=Network(bridge="br0"), keys=keys.published())
    await host.admin.patch(HOST_AGENTS, "host", {"spec": spec}, namespace=host.namespace)

    async def seen() -> bool:
        agent = await host.admin.get(HOST_AGENTS, "host", namespace=host.namespace)
        return agent.status.observed_generation == agent.metadata.generation

    await eventually(seen)


async def test_guests_follow_the_new_key_and_the_previous_one_can_be_dropped(running: AgentHost) -> None:
    running.signer = SECOND
    await running.assign(order(serial=2))
    await running.told(GUEST, "OrderInvalid", outcome="Invalid")
    assert running.driver.running() == {GUEST}
    await publish(running, OrderKeys(SECOND, SIGNER))
    await running.told(GUEST, "Running")
    await publish(running, OrderKeys(SECOND))
    await running.kill()
    running.start()
    await running.assign(order(serial=3, desired="Stopped"))
    await running.told(GUEST, "Stopped")
    assert running.driver.starts[GUEST] == 1


async def test_a_key_may_change_again_and_again(running: AgentHost) -> None:
    await publish(running, OrderKeys(SECOND, SIGNER))
    await publish(running, OrderKeys(THIRD, SECOND))
    running.signer = THIRD
    await running.assign(order(serial=2, desired="Stopped"))
    await running.told(GUEST, "Stopped")


async def test_a_new_join_file_takes_back_every_key_that_it_does_not_lead_to(running: AgentHost) -> None:
    """The second key leaked: it was learned, not pinned, and must be forgotten all the same."""
    await publish(running, OrderKeys(SECOND, SIGNER))
    await publish(running, OrderKeys(THIRD, SECOND))
    await running.kill()
    running.pinned = {THIRD.key_id: THIRD.public_key}
    running.start()
    for leaked in (SIGNER, SECOND):
        running.signer = leaked
        await running.assign(order(serial=2, desired="Destroyed"))
        await running.told(GUEST, "OrderInvalid", outcome="Invalid")
    assert running.driver.running() == {GUEST}
    running.signer = THIRD
    await running.assign(order(serial=2, desired="Stopped"))
    await running.told(GUEST, "Stopped")
