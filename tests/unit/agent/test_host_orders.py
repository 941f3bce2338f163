"""The host's own orders in its store: what concerns guests that are here, and what is only kept."""

from pathlib import Path

import pytest

from innkeeper.agent.host_orders import HostOrders
from innkeeper.agent.store.reading import HOST_SETTINGS
from innkeeper.agent.store.store import Store
from innkeeper.views.host import HostAgent, HostAgentSpec, HostScheduling, Network
from innkeeper.views.meta import Meta
from innkeeper.views.placement import Taint

FULL = HostScheduling(maintenance=True, taints=[Taint(key="gpu", effect="NoSchedule")], labels={"zone": "a"})


def agent(scheduling: HostScheduling | None, *, bridge: str = "br0") -> HostAgent:
    spec = HostAgentSpec(cluster="lab", network=Network(bridge=bridge), scheduling=scheduling)
    return HostAgent(metadata=Meta(name="host"), spec=spec)


@pytest.mark.parametrize("scheduling", [FULL, HostScheduling(), None])
async def test_what_the_host_says_of_guests_to_come_is_kept_and_told(
    tmp_path: Path, scheduling: HostScheduling | None
) -> None:
    store = await Store.open(tmp_path / "agent.db", host="a", new_id="id-1")
    orders = HostOrders(store, {})
    await orders.update(agent(scheduling))
    await store.close()
    again = await Store.open(tmp_path / "agent.db", host="a", new_id="id-2")
    told = (await again.snapshot()).settings
    assert await again.meta(HOST_SETTINGS) is not None
    await again.close()
    assert told is not None
    assert told.scheduling == scheduling


async def test_a_change_of_it_has_no_guest_looked_at_again(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "agent.db", host="a", new_id="id-1")
    orders = HostOrders(store, {})
    assert await orders.update(agent(None))
    assert not await orders.update(agent(FULL))
    assert await orders.update(agent(FULL, bridge="br1"))
    await store.close()
