"""A guest powers itself off: its restart policy decides, whether or not anybody was there to see it."""

import pytest

from tests.kit.agent_host import AgentHost, failure
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()


async def test_while_its_agent_is_dead(running: AgentHost) -> None:
    await running.kill()
    running.driver.power_off(GUEST)
    running.start()
    await eventually(lambda: running.driver.starts[GUEST] == 2)
    await running.told(GUEST, "Running")


@pytest.mark.parametrize("policy", ["OnFailure", "Never"])
async def test_it_rests_where_it_may_and_stays_so_over_a_restart_of_the_agent(
    host: AgentHost, policy: str
) -> None:
    host.start()
    await host.assign(order(spec={"restart_policy": policy}))
    await host.told(GUEST, "Running")
    await host.kill()
    host.driver.power_off(GUEST)
    host.start()
    assert policy in (await host.told(GUEST, "Completed")).message
    await host.kill()
    host.start()
    await host.assign(order(2))
    await host.told(guest_id(2), "Running")
    assert host.driver.starts[GUEST] == 1
    assert host.disk(GUEST).exists()


@pytest.mark.parametrize(
    ("policy", "starts", "reason"),
    [("Always", 2, "Running"), ("OnFailure", 2, "Running"), ("Never", 1, "Crashed")],
)
async def test_while_neither_its_agent_nor_the_hypervisor_was_there(
    host: AgentHost, policy: str, starts: int, reason: str
) -> None:
    """As when both are upgraded. The host was not rebooted, so it ended by itself, and may have crashed."""
    host.start()
    await host.assign(order(spec={"restart_policy": policy}))
    await host.told(GUEST, "Running")
    await host.assign(order(2))
    await host.told(guest_id(2), "Running")
    await host.kill()
    host.driver.power_off(GUEST)
    host.driver.forget_ends()
    host.start()
    await eventually(lambda: host.driver.starts == {GUEST: starts, guest_id(2): 1})
    told = await host.told(GUEST, reason)
    assert policy != "Never" or "nobody saw how" in told.message
    await host.kill()
    host.reboot()
    host.start()
    after = 1 if policy == "Never" else 3
    await eventually(lambda: host.driver.starts == {GUEST: after, guest_id(2): 2})
    await host.told(GUEST, reason)


async def test_a_machine_that_was_undefined_is_started_however_often_that_fails(host: AgentHost) -> None:
    host.start()
    await host.assign(order(spec={"restart_policy": "Never"}))
    await host.told(GUEST, "Running")
    await host.kill()
    await host.driver.remove(GUEST)
    host.gates.failures["before-start"].append(failure("StartFailed"))
    host.start()
    await eventually(lambda: host.driver.starts[GUEST] == 2)
    await host.told(GUEST, "Running")


async def test_while_it_is_ordered_off(running: AgentHost) -> None:
    """The power button comes too late; the guest is off all the same, and says so."""
    running.gates.held.add("before-stop")
    await running.assign(order(serial=2, desired="Stopped"))
    await running.gates.reached["before-stop"].wait()
    running.driver.power_off(GUEST)
    running.gates.open()
    assert (await running.told(GUEST, "Stopped")).status == "True"
    assert running.driver.starts[GUEST] == 1
