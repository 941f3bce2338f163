"""Operations at the host: done once, told to the end, and in nobody's way."""

import pytest

from innkeeper.domain.orders import OrderOperation
from tests.kit.agent_host import AgentHost, failure
from tests.kit.agent_orders import guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually, settled

GUEST = guest_id()


def asked(kind: str, number: int = 1) -> OrderOperation:
    """An operation."""
    return OrderOperation(id=f"operation-{number}", kind=kind)


async def has_read(host: AgentHost, *, serial: int) -> bool:
    """Tell whether the agent holds the order of a serial."""
    held = (await host.assignment(GUEST)).status.held
    return held is not None and held.serial == serial


@pytest.mark.parametrize("kind", ["Reboot", "HardReboot"])
@pytest.mark.parametrize("policy", ["Always", "Never"])
async def test_a_reboot_makes_one_new_machine_whatever_the_restart_policy(
    running: AgentHost, kind: str, policy: str
) -> None:
    running.disk(GUEST).write_text("what the guest wrote")
    await running.assign(order(serial=2, operation=asked(kind), spec={"restart_policy": policy}))
    told = await running.ended_operation(GUEST, "operation-1")
    assert (told.phase, told.reason) == ("Succeeded", None)
    assert told.started_at is not None
    assert told.finished_at is not None
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 2
    assert running.driver.stops[GUEST] == 1
    assert running.disk(GUEST).read_text() == "what the guest wrote"
    assert running.figure("innkeeper_agent_restarts_total") == 0


async def test_an_operation_that_is_over_is_not_done_again(running: AgentHost) -> None:
    await running.assign(order(serial=2, operation=asked("Reboot")))
    await running.ended_operation(GUEST, "operation-1")
    await running.assign(order(serial=3, operation=asked("Reboot"), labels={"team": "blue"}))
    await running.told(GUEST, "Running")
    await running.kill()
    running.start()
    await running.assign(order(serial=4, operation=asked("Reboot", 2)))
    await running.ended_operation(GUEST, "operation-2")
    await running.assign(order(serial=5, operation=asked("Reboot")))
    again = await running.ended_operation(GUEST, "operation-1")
    assert again.phase == "Succeeded"
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 3


async def test_a_paused_guest_stays_so_over_agents_and_until_it_is_resumed(running: AgentHost) -> None:
    await running.assign(order(serial=2, operation=asked("Pause")))
    await running.ended_operation(GUEST, "operation-1")
    paused = await running.told(GUEST, "Paused")
    assert paused.status == "False"
    assert "resume" in paused.message
    await running.kill()
    running.start()
    await running.assign(order(serial=3, operation=asked("Pause"), labels={"team": "blue"}))
    await running.told(GUEST, "Paused")
    assert await settled(lambda: running.driver.resumes[GUEST]) == 0
    await running.assign(order(serial=4, operation=asked("Resume", 2)))
    await running.ended_operation(GUEST, "operation-2")
    await running.told(GUEST, "Running")
    assert (running.driver.resumes[GUEST], running.driver.starts[GUEST]) == (1, 1)


async def test_a_pause_whose_end_nobody_kept_is_not_taken_back_by_the_next_agent(running: AgentHost) -> None:
    """Not even while newer orders are looked for, and the operation itself waits."""
    running.gates.held.add("after-pause")
    await running.assign(order(serial=2, operation=asked("Pause")))
    await running.gates.reached["after-pause"].wait()
    await running.kill()
    running.gates.open()
    listing = running.api.faults.hold("list hostagents *", times=None)
    running.clock = clock = ManualClock()
    running.start()
    await eventually(lambda: listing.met)
    await settled(lambda: sorted(clock.waits))
    clock.advance(20)  # longer than the pause before a restart, shorter than newer orders are looked for
    assert await settled(lambda: running.driver.resumes[GUEST]) == 0
    assert listing.gate is not None
    listing.gate.set()
    assert (await running.ended_operation(GUEST, "operation-1")).phase == "Succeeded"
    await running.told(GUEST, "Paused")
    assert running.driver.resumes[GUEST] == 0


async def test_a_paused_guest_runs_after_its_host_rebooted(running: AgentHost) -> None:
    await running.assign(order(serial=2, operation=asked("Pause")))
    await running.told(GUEST, "Paused")
    await running.kill()
    running.reboot()
    running.start()
    await eventually(lambda: running.driver.starts[GUEST] == 2)
    await running.told(GUEST, "Running")


async def test_a_resume_that_a_reboot_of_the_host_cut_short_has_not_succeeded(running: AgentHost) -> None:
    await running.assign(order(serial=2, operation=asked("Pause")))
    await running.told(GUEST, "Paused")
    running.gates.held.add("before-resume")
    await running.assign(order(serial=3, operation=asked("Resume", 2)))
    await running.gates.reached["before-resume"].wait()
    await running.kill()
    running.reboot()
    running.gates.open()
    running.start()
    told = await running.ended_operation(GUEST, "operation-2")
    assert (told.phase, told.reason) == ("Failed", "GuestNotRunning")
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 2


@pytest.mark.parametrize("policy", ["OnFailure", "Never"])
async def test_a_paused_guest_can_be_stopped_and_started(running: AgentHost, policy: str) -> None:
    rest = {"spec": {"restart_policy": policy}}
    await running.assign(order(serial=2, operation=asked("Pause"), **rest))
    await running.told(GUEST, "Paused")
    await running.assign(order(serial=3, operation=asked("Pause"), desired="Stopped", **rest))
    await running.told(GUEST, "Stopped")
    await running.assign(order(serial=4, operation=asked("Pause"), **rest))
    await running.told(GUEST, "Running")


@pytest.mark.parametrize("kind", ["Reboot", "HardReboot"])
async def test_a_paused_guest_can_be_rebooted_and_runs(running: AgentHost, kind: str) -> None:
    await running.assign(order(serial=2, operation=asked("Pause")))
    await running.told(GUEST, "Paused")
    await running.assign(order(serial=3, operation=asked(kind, 2)))
    assert (await running.ended_operation(GUEST, "operation-2")).phase == "Succeeded"
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 2


@pytest.mark.parametrize(
    ("point", "kind"),
    [("before-stop", "Reboot"), ("before-start", "HardReboot"), ("before-pause", "Pause")],
)
async def test_an_operation_that_fails_says_why_and_leaves_a_guest_that_runs(
    host: AgentHost, point: str, kind: str
) -> None:
    host.start()
    await host.assign(order(spec={"restart_policy": "Never"}))
    await host.told(GUEST, "Running")
    host.gates.failures[point].append(failure("DriverFailed", "libvirt does not answer"))
    await host.assign(order(serial=2, operation=asked(kind), spec={"restart_policy": "Never"}))
    told = await host.ended_operation(GUEST, "operation-1")
    assert (told.phase, told.reason, told.message) == ("Failed", "DriverFailed", "libvirt does not answer")
    await host.told(GUEST, "Running")
    assert host.driver.running() == {GUEST}


async def test_a_guest_that_rests_cannot_be_rebooted(host: AgentHost) -> None:
    host.start()
    await host.assign(order(spec={"restart_policy": "Never"}))
    await host.told(GUEST, "Running")
    host.driver.power_off(GUEST)
    await host.told(GUEST, "Completed")
    await host.assign(order(serial=2, operation=asked("Reboot"), spec={"restart_policy": "Never"}))
    told = await host.ended_operation(GUEST, "operation-1")
    assert (told.phase, told.reason) == ("Failed", "GuestNotRunning")
    await host.told(GUEST, "Completed")
    assert host.driver.starts[GUEST] == 1


async def test_a_stop_ends_a_reboot_that_is_under_way(running: AgentHost) -> None:
    running.gates.held.add("before-stop")
    await running.assign(order(serial=2, operation=asked("Reboot")))
    await running.gates.reached["before-stop"].wait()
    await running.assign(order(serial=3, operation=asked("Reboot"), desired="Stopped"))
    await eventually(lambda: has_read(running, serial=3))
    running.gates.open()
    told = await running.ended_operation(GUEST, "operation-1")
    assert (told.phase, told.reason) == ("Failed", "GuestStopped")
    await running.told(GUEST, "Stopped")
    assert running.driver.starts[GUEST] == 1


async def test_a_reboot_that_was_cut_goes_on_where_its_guest_shall_run_again_before_anybody_looked(
    running: AgentHost,
) -> None:
    """The guest may have heard the power button: it must not end by itself later, with its restart policy asked."""
    never = {"spec": {"restart_policy": "Never"}}
    running.gates.held.add("before-stop")
    await running.assign(order(serial=2, operation=asked("Reboot"), **never))
    await running.gates.reached["before-stop"].wait()
    running.gates.held.add("domains")
    await running.assign(order(serial=3, operation=asked("Reboot"), desired="Stopped", **never))
    await running.gates.reached["domains"].wait()
    await running.assign(order(serial=4, operation=asked("Reboot"), **never))
    await eventually(lambda: has_read(running, serial=4))
    running.gates.open()
    assert (await running.ended_operation(GUEST, "operation-1")).phase == "Succeeded"
    await running.told(GUEST, "Running")
    assert (running.driver.stops[GUEST], running.driver.starts[GUEST]) == (1, 2)


async def test_a_destruction_ends_a_reboot_that_is_under_way(running: AgentHost) -> None:
    running.gates.held.add("before-stop")
    await running.assign(order(serial=2, operation=asked("Reboot")))
    await running.gates.reached["before-stop"].wait()
    await running.assign(order(serial=3, desired="Destroyed"))
    await eventually(lambda: has_read(running, serial=3))
    running.gates.open()
    await running.told(GUEST, "Destroyed", outcome="Destroyed")
    assert (await running.assignment(GUEST)).status.operation is None


async def test_an_operation_of_a_later_version_fails_and_says_so(running: AgentHost) -> None:
    await running.assign(order(serial=2, operation=asked("Teleport")))
    told = await running.ended_operation(GUEST, "operation-1")
    assert (told.phase, told.reason) == ("Failed", "OperationUnknown")
    assert "newer agent" in (told.message or "")
