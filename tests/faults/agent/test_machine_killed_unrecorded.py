"""A machine dies after the hypervisor started it and before the agent wrote down that it runs."""

import pytest

from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()


async def started_and_unrecorded(host: AgentHost, policy: str) -> None:
    """Bring a guest to that moment."""
    host.gates.held.add("after-start")
    host.start()
    await host.assign(order(spec={"restart_policy": policy}))
    await host.gates.reached["after-start"].wait()
    assert host.driver.running() == {GUEST}


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
async def test_it_is_started_again(host: AgentHost, policy: str) -> None:
    await started_and_unrecorded(host, policy)
    host.driver.crash(GUEST)
    host.gates.open()
    await eventually(lambda: host.driver.starts[GUEST] == 2)
    await host.told(GUEST, "Running")


async def test_a_policy_that_lets_it_rest_is_obeyed(host: AgentHost) -> None:
    await started_and_unrecorded(host, "Never")
    host.driver.crash(GUEST)
    host.gates.open()
    await host.told(GUEST, "Crashed")
    assert host.driver.starts[GUEST] == 1


async def test_the_agent_dies_too(host: AgentHost) -> None:
    """Nobody knows that it ever ran: it is built on, over the disk that is there."""
    await started_and_unrecorded(host, "Always")
    host.disk(GUEST).write_text("this very disk")
    host.driver.crash(GUEST)
    await host.kill()
    host.gates.open()
    host.start()
    await host.told(GUEST, "Running")
    assert host.driver.starts[GUEST] == 2
    assert host.disk(GUEST).read_text() == "this very disk"
