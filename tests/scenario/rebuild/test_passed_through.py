"""Labels and annotations of a Guest on their way: into the store of a real agent, and back into a new API server."""

import asyncio
from pathlib import Path

from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.inspection import inspect
from innkeeper.domain import names, orders
from innkeeper.domain.host_store import GuestEntry
from tests.kit.agent_host import AgentHost, agent_host
from tests.kit.agent_orders import HOST, KEYS, guest_id
from tests.scenario.rebuild.conftest import Scene

GUEST = guest_id()
LABELS = {"team": "web", "app.kubernetes.io/part-of": "shop"}
ANNOTATIONS = {"example.com/contact": "web@example.com", "note": "ünï ' \" \n, a=b"}


async def held(host: AgentHost) -> GuestEntry:
    """Return what the host's store holds, as it lies on the disk."""
    [guest] = (await asyncio.to_thread(inspect, StatePaths(host.directory).database)).guests
    return guest.entry


async def test_they_reach_the_hosts_store_and_survive_a_rebuild(scene: Scene, tmp_path: Path) -> None:
    told = scene.host(HOST)
    first = told.order(labels={"team": "old"}, annotations={"gone": "soon"})
    async with agent_host(tmp_path) as host:
        host.start()
        await host.assign(first)
        await host.told(GUEST, "Running")
        # A change of them alone is a newer order; the guest does not notice.
        await host.assign(told.order(labels=LABELS, annotations=ANNOTATIONS, serial=2, generation=2))
        await host.told(GUEST, "Running")
        assert host.driver.starts[GUEST] == 1
        await host.kill()
        entry = await held(host)
    order = orders.verify(entry.order, KEYS)
    assert (order.labels, order.annotations, order.serial) == (LABELS, ANNOTATIONS, 2)

    told.guests[GUEST] = entry
    await scene.run()
    scene.assert_as_hosts_hold()
    made = scene.guests()[GUEST].metadata
    assert made.labels == LABELS
    own = {names.ID_ANNOTATION: GUEST, names.REVIVED_FROM_ANNOTATION: HOST}
    assert made.annotations == {**ANNOTATIONS, **own}
