"""The API server refuses in storms (409, 429, 500, 503): guests run on, and all is told once it is over."""

import pytest

from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.three_guests import CONVERGED_S, GUESTS, clock, shows
from tests.kit.virtual_time import elapse, within

GUEST = guest_id()


@pytest.mark.parametrize("status", [503, 429])
async def test_a_storm_of_refusals_holds_nothing_up(three: AgentHost, status: int) -> None:
    user = ["assignments", "hostagents", "leases", "assignments/status", "hostagents/status"]
    faults = [three.api.faults.fail(f"* {kind} host-inn-a*", status=status, times=None) for kind in user]
    three.api.faults.fail("* assignments *", status=status, times=None)
    three.api.faults.drop_watch()
    three.driver.crash(GUESTS[0])
    await elapse(clock(three), 300)
    assert GUESTS[0] in three.driver.running()
    assert any(fault.met for fault in faults)
    three.api.faults.clear()
    await three.assign(order(3, serial=2, desired="Stopped"))
    expected = {1: "Running", 2: "Running", 3: "Stopped"}
    await within(clock(three), CONVERGED_S, lambda: shows(three, expected))


@pytest.mark.parametrize(("status", "times"), [(409, 2), (429, 2), (500, 3)])
async def test_a_status_that_is_not_taken_is_written_again(host: AgentHost, status: int, times: int) -> None:
    fault = host.api.faults.fail("patch assignments/status *", status=status, times=times)
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    assert len(fault.met) == times
