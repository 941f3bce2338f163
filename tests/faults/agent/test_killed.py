"""The agent is killed at every step, and the next one goes on: one machine, one disk, nothing lost."""

import pytest

from innkeeper.agent.only_one import AnotherOneError
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()
BUILD = ["fetch", "overlay", "seed", "before-define", "after-define", "before-start", "after-start"]


@pytest.mark.parametrize("point", BUILD)
async def test_killed_while_it_builds(host: AgentHost, point: str) -> None:
    host.gates.held.add(point)
    host.start()
    await host.assign(order())
    await host.gates.reached[point].wait()
    await host.kill()
    host.gates.open()
    host.start()
    await host.told(GUEST, "Running")
    assert host.driver.running() == {GUEST}
    assert host.driver.starts[GUEST] == 1, "a machine that lives is adopted, never started twice"


@pytest.mark.parametrize("point", ["seed", "before-define", "before-start"])
async def test_a_disk_that_was_made_is_never_made_again(host: AgentHost, point: str) -> None:
    host.gates.held.add(point)
    host.start()
    await host.assign(order())
    await host.gates.reached[point].wait()
    host.disk(GUEST).write_text("this very disk")
    await host.kill()
    host.gates.open()
    host.start()
    await host.told(GUEST, "Running")
    assert host.disk(GUEST).read_text() == "this very disk"


async def test_nothing_is_started_before_it_is_known_what_runs(running: AgentHost) -> None:
    await running.kill()
    running.gates.held.add("domains")
    running.start()
    await running.gates.reached["domains"].wait()
    await running.assign(order(2))
    await running.told(guest_id(2), "Accepted")
    assert running.gates.passed["fetch"] == 1
    running.gates.open()
    await running.told(guest_id(2), "Running")
    assert running.driver.starts[GUEST] == 1


@pytest.mark.parametrize("point", ["before-remove", "after-remove"])
async def test_killed_while_it_destroys(running: AgentHost, point: str) -> None:
    running.gates.held.add(point)
    await running.assign(order(serial=2, desired="Destroyed"))
    await running.gates.reached[point].wait()
    await running.kill()
    running.gates.open()
    running.start()
    await running.told(GUEST, "Destroyed", outcome="Destroyed")
    assert not running.disk(GUEST).parent.exists()
    assert running.driver.starts[GUEST] == 1


async def test_killed_while_it_stops(running: AgentHost) -> None:
    running.gates.held.add("before-stop")
    await running.assign(order(serial=2, desired="Stopped", spec={"restart_policy": "Never"}))
    await running.gates.reached["before-stop"].wait()
    await running.kill()
    running.driver.power_off(GUEST)
    running.gates.open()
    running.start()
    assert (await running.told(GUEST, "Stopped")).status == "True"


async def test_guests_run_on_without_their_agent_and_are_adopted(running: AgentHost) -> None:
    await running.kill()
    assert running.driver.running() == {GUEST}
    running.start()
    await running.assign(order(serial=2, spec={"restart_policy": "OnFailure"}))
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 1


async def test_a_guest_that_crashed_without_its_agent_is_started_by_the_next(running: AgentHost) -> None:
    await running.kill()
    running.driver.crash(GUEST)
    running.start()
    await eventually(lambda: running.driver.running() == {GUEST})
    assert running.driver.starts[GUEST] == 2


async def test_two_agents_never_work_in_one_state_directory(running: AgentHost) -> None:
    second = AgentHost(running.api, admin=running.admin, agent=running.agent, directory=running.directory)
    second.start()
    with pytest.raises(AnotherOneError, match="one host has one agent"):
        await second.ended()
    await running.assign(order(serial=2, desired="Stopped"))
    await running.told(GUEST, "Stopped")
