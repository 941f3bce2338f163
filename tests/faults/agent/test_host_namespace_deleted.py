"""A host's namespace is deleted, with identity and orders: guests run on, and are answered for once it is made again."""

from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS, NAMESPACES
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import STORE, guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()


async def test_a_deleted_namespace_that_is_made_anew_is_served_again(running: AgentHost) -> None:
    await running.admin.delete(ASSIGNMENTS, GUEST, namespace=running.namespace)
    await running.admin.delete(HOST_AGENTS, "host", namespace=running.namespace)
    await running.admin.delete(NAMESPACES, running.namespace)
    await running.make_namespace()
    await running.assign(order(serial=2))
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 1

    async def reported() -> bool:
        agent = await running.admin.get(HOST_AGENTS, "host", namespace=running.namespace)
        return agent.status.store_id == STORE

    await eventually(reported)
