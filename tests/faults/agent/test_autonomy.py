"""Guests live through whatever happens above them: hours without an API server, storms, a lying clock, a power cut.

Time is virtual: an hour passes in seconds.
"""

from datetime import timedelta

import pytest

from innkeeper.views.assignment import Assignment
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.virtual_time import elapse, within

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


@pytest.mark.parametrize("minutes", [5, 60])
async def test_without_an_api_server_guests_go_on_by_their_policies(three: AgentHost, minutes: int) -> None:
    await three.api.down()
    three.driver.power_off(GUESTS[1])
    three.driver.crash(GUESTS[2])
    for _ in range(minutes):
        if GUESTS[0] in three.driver.running():
            three.driver.crash(GUESTS[0])
        await elapse(clock(three), 60)
    tries = three.driver.starts[GUESTS[0]]
    assert 5 <= tries <= 8 + minutes / 5, "it is tried again, after pauses that double up to five minutes"
    await within(clock(three), 301, lambda: three.driver.running() == {GUESTS[0]})
    assert (three.driver.starts[GUESTS[1]], three.driver.starts[GUESTS[2]]) == (1, 1)
    await three.api.up()
    await three.assign(order(2, serial=2, desired="Stopped"))
    await three.assign(order(4))
    expected = {1: "Running", 2: "Stopped", 3: "Crashed", 4: "Running"}
    assert await within(clock(three), CONVERGED_S, lambda: shows(three, expected)) <= CONVERGED_S


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


async def test_a_watch_that_expired_is_made_up_for(three: AgentHost) -> None:
    gone = three.api.faults.fail("watch assignments *", status=410, times=3)
    three.api.faults.drop_watch()
    await three.assign(order(1, serial=2, desired="Stopped"))
    await within(clock(three), CONVERGED_S, lambda: shows(three, {1: "Stopped", 2: "Running"}))
    assert gone.met
    assert three.driver.running() == set(GUESTS[1:])


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


@pytest.mark.parametrize("api", ["heard", "away"])
async def test_a_host_that_lost_its_power_starts_what_shall_run(three: AgentHost, api: str) -> None:
    """Every machine is gone, as is the hypervisor's memory of them; disks and the store are what is left."""
    three.driver.power_off(GUESTS[2])
    await within(clock(three), CONVERGED_S, lambda: shows(three, {3: "Completed"}))
    for each in GUESTS:
        three.disk(each).write_text(f"what {each} wrote")
    await three.kill()
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


async def test_an_operator_that_is_away_is_not_missed(three: AgentHost) -> None:
    """The API server answers, and nobody writes: nothing is asked of the host for an hour."""
    await elapse(clock(three), 1800, step_s=30)
    three.driver.crash(GUESTS[0])
    await within(clock(three), 10, lambda: three.driver.starts[GUESTS[0]] == 2)
    await elapse(clock(three), 1800, step_s=30)
    assert three.driver.running() == set(GUESTS)
