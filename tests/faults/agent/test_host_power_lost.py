"""A host loses its power: what shall run is started by the store alone, once, over the disks that are there."""

import pytest

from tests.kit.agent_host import AgentHost, failure
from tests.kit.agent_orders import guest_id, order
from tests.kit.three_guests import CONVERGED_S, GUESTS, clock, shows
from tests.kit.virtual_time import elapse, within
from tests.kit.waiting import eventually

GUEST = guest_id()


@pytest.mark.parametrize("api", ["heard", "away"])
async def test_a_host_that_lost_its_power_starts_what_shall_run(three: AgentHost, api: str) -> None:
    """Every machine is gone, as is the hypervisor's memory of them; disks and the store are what is left."""
    three.driver.power_off(GUESTS[2])
    await within(clock(three), CONVERGED_S, lambda: shows(three, {3: "Completed"}))
    for each in GUESTS:
        three.disk(each).write_text(f"what {each} wrote")
    await three.kill()
    three.reboot()
    for each in GUESTS:
        await three.driver.remove(each)
    if api == "away":
        await three.api.down()
    three.start()
    await within(clock(three), 40, lambda: three.driver.running() == set(GUESTS[:2]))
    assert [three.disk(each).read_text() for each in GUESTS] == [f"what {each} wrote" for each in GUESTS]
    if api == "away":
        await elapse(clock(three), 3600, step_s=30)
        await three.api.up()
    await within(
        clock(three), CONVERGED_S, lambda: shows(three, {1: "Running", 2: "Running", 3: "Completed"})
    )


@pytest.mark.parametrize("known", ["by this agent", "by one that kept no boot"])
async def test_a_reboot_of_the_host_asks_no_restart_policy(host: AgentHost, known: str) -> None:
    """Nor does a store that an older agent wrote: nobody can tell then whether the host was rebooted."""
    if known != "by this agent":
        host.boot_id = "unknown"
    host.start()
    await host.assign(order(spec={"restart_policy": "Never"}))
    await host.told(GUEST, "Running")
    await host.kill()
    host.reboot()
    host.gates.failures["before-start"].append(failure("StartFailed"))
    host.start()
    await eventually(lambda: host.driver.starts[GUEST] == 2)
    await host.told(GUEST, "Running")


async def test_a_first_start_that_fails_after_a_reboot_lets_no_guest_rest(host: AgentHost) -> None:
    """The hypervisor tells a machine whose start failed as one that crashed."""
    host.start()
    await host.assign(order(spec={"restart_policy": "Never"}))
    await host.told(GUEST, "Running")
    await host.kill()
    host.reboot()
    start = host.driver.start

    async def fails_once(guest_id: str) -> None:
        host.driver.start = start  # type: ignore[method-assign] # the next start is a plain one
        host.driver.crash(guest_id)
        raise failure("StartFailed")

    host.driver.start = fails_once  # type: ignore[method-assign] # as libvirt does
    host.start()
    await eventually(lambda: host.driver.starts[GUEST] == 2)
    await host.told(GUEST, "Running")
    host.driver.crash(GUEST)
    await host.told(GUEST, "Crashed")
    assert host.driver.starts[GUEST] == 2
