"""The operator is away for an hour: nobody at a host misses it. Time is virtual."""

from tests.kit.agent_host import AgentHost
from tests.kit.three_guests import GUESTS, clock
from tests.kit.virtual_time import elapse, within


async def test_an_operator_that_is_away_is_not_missed(three: AgentHost) -> None:
    """The API server answers, and nobody writes: nothing is asked of the host for an hour."""
    await elapse(clock(three), 1800, step_s=30)
    three.driver.crash(GUESTS[0])
    await within(clock(three), 10, lambda: three.driver.starts[GUESTS[0]] == 2)
    await elapse(clock(three), 1800, step_s=30)
    assert three.driver.running() == set(GUESTS)
