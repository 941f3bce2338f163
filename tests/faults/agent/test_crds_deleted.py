"""The CRDs are deleted, and applied again: guests run on meanwhile, and are answered for afterwards."""

from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import STORE, guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()


async def test_the_kinds_go_with_all_their_objects_and_come_back(running: AgentHost) -> None:
    store = running.api.store
    gone = {key: kind for key, kind in store.kinds.items() if key[2] in ("assignments", "hostagents")}
    for kind in gone.values():
        for key in list(store.of(kind)):
            store.delete(kind, key)
    for key in gone:
        del store.kinds[key]
    running.api.faults.drop_watch()
    await eventually(lambda: any(each.status == 404 for each in running.api.called("* assignments")))
    running.driver.crash(GUEST)
    await eventually(lambda: running.driver.starts[GUEST] == 2)
    assert running.disk(GUEST).exists()

    store.kinds.update(gone)
    spec = {"cluster": "c", "network": {"bridge": "br0"}, "allowEmulation": False, "orderKeys": []}
    body = {"metadata": {"name": "host"}, "spec": spec}
    await running.admin.create(HOST_AGENTS, body, namespace=running.namespace)
    await running.assign(order())
    await running.told(GUEST, "Running")
    assert (await running.admin.get(ASSIGNMENTS, GUEST, namespace=running.namespace)).status.held is not None

    async def reported() -> bool:
        agent = await running.admin.get(HOST_AGENTS, "host", namespace=running.namespace)
        return agent.status.store_id == STORE

    await eventually(reported)
    assert running.driver.starts[GUEST] == 2
