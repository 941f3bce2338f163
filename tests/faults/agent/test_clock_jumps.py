"""A clock jumps: no guest is restarted or destroyed for it, nor held up. Time is virtual."""

from datetime import timedelta

import pytest

from tests.kit.agent_host import AgentHost
from tests.kit.three_guests import CONVERGED_S, GUESTS, clock, shows
from tests.kit.virtual_time import elapse, within


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("api", ["heard", "away"])
async def test_a_clock_that_jumps_restarts_and_destroys_nothing(
    three: AgentHost, hours: int, api: str
) -> None:
    if api == "away":
        await three.api.down()
    clock(three).set_wall(clock(three).now() + timedelta(hours=hours))
    await elapse(clock(three), 120)
    assert three.driver.running() == set(GUESTS)
    assert set(three.driver.starts.values()) == {1}
    await three.kill()  # nor does an agent that starts with the wrong time
    three.start()
    await elapse(clock(three), 120)
    assert three.driver.running() == set(GUESTS)
    three.driver.crash(GUESTS[0])
    await within(clock(three), 5, lambda: three.driver.starts[GUESTS[0]] == 2)
    if api == "away":
        await three.api.up()
    await within(clock(three), CONVERGED_S, lambda: shows(three, {1: "Running", 2: "Running", 3: "Running"}))
