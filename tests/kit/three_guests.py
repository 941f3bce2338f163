"""Three guests on a host whose clock a test moves, each with another restart policy: an hour passes in seconds."""

import pytest

from innkeeper.views.assignment import Assignment
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.clock import ManualClock

GUESTS = [guest_id(number) for number in (1, 2, 3)]
POLICIES = {1: "Always", 2: "OnFailure", 3: "Never"}
CONVERGED_S = 60


@pytest.fixture
async def three(host: AgentHost) -> AgentHost:
    """Three guests that run, each with another restart policy, on a host whose clock the test moves."""
    host.clock, host.heartbeat_s = ManualClock(), 10
    host.start()
    for number, policy in POLICIES.items():
        await host.assign(order(number, spec={"restart_policy": policy}))
        await host.told(guest_id(number), "Running")
    return host


def clock(host: AgentHost) -> ManualClock:
    assert isinstance(host.clock, ManualClock)
    return host.clock


async def shows(host: AgentHost, expected: dict[int, str]) -> bool:
    """Tell whether the Assignments say this of the guests, by number, as of their newest orders."""

    def reason(found: Assignment) -> str:
        if found.status.observed_generation != found.metadata.generation:
            return ""
        return next((each.reason for each in found.status.conditions if each.type == "Ready"), "")

    found = {number: reason(await host.assignment(guest_id(number))) for number in expected}
    return found == expected
