"""A watch is answered with 410, as after an API server's restart: what was missed is made up for. Time is virtual."""

from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import order
from tests.kit.three_guests import CONVERGED_S, GUESTS, clock, shows
from tests.kit.virtual_time import within


async def test_a_watch_that_expired_is_made_up_for(three: AgentHost) -> None:
    gone = three.api.faults.fail("watch assignments *", status=410, times=3)
    three.api.faults.drop_watch()
    await three.assign(order(1, serial=2, desired="Stopped"))
    await within(clock(three), CONVERGED_S, lambda: shows(three, {1: "Stopped", 2: "Running"}))
    assert gone.met
    assert three.driver.running() == set(GUESTS[1:])
