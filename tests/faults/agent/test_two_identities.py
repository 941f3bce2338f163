"""Two machines that are one host: the later agent ends before it starts anything.

They joined with one file, or one carries a copy of the other's state directory.
"""

import shutil
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


async def test_the_agent_on_a_copy_of_the_state_directory_ends_and_starts_nothing(
    running: AgentHost, tmp_path: Path
) -> None:
    shutil.copytree(running.directory, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock", "copy"))
    copy = AgentHost(running.api, admin=running.admin, agent=running.agent, directory=tmp_path / "copy")
    copy.boot_id = "boot-of-another-machine"
    for _ in range(2):  # systemd starts it again
        copy.start()
        with pytest.raises(ExceptionGroup) as ended:
            await copy.ended()
        assert ended.group_contains(AnotherHolderError, match="a state directory of its own")
    assert copy.driver.starts == {}
    await running.assign(order(serial=2, desired="Stopped"))
    await running.told(GUEST, "Stopped")
