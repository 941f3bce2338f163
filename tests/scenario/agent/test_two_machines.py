"""Two machines that joined with one file: the later agent ends before it reports or starts anything."""

from pathlib import Path

import pytest

from innkeeper.kube.resources import HOST_AGENTS
from innkeeper.kube.sole_heartbeat import AnotherHolderError
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import STORE, guest_id, order

GUEST = guest_id()


async def test_the_later_agent_ends_and_the_first_is_not_disturbed(
    running: AgentHost, tmp_path: Path
) -> None:
    other = AgentHost(running.api, admin=running.admin, agent=running.agent, directory=tmp_path / "other")
    other.start()
    with pytest.raises(ExceptionGroup) as ended:
        await other.ended()
    assert ended.group_contains(AnotherHolderError, match="one host has one agent")
    agent = await running.admin.get(HOST_AGENTS, "host", namespace=running.namespace)
    assert agent.status.store_id == STORE, "no order is ever signed for the second store"
    told = (await running.assignment(GUEST)).status
    assert told.outcome == "Accepted"
    assert other.driver.starts == {}
    await running.assign(order(serial=2, desired="Stopped"))
    await running.told(GUEST, "Stopped")
