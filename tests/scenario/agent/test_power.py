"""Stopping, starting, ending by itself, being destroyed."""

import pytest

from tests.kit.agent_host import AgentHost, failure
from tests.kit.agent_orders import guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually

GUEST = guest_id()


async def test_a_stopped_guest_keeps_its_disk_and_starts_again_with_it(running: AgentHost) -> None:
    running.disk(GUEST).write_text("what the guest wrote")
    await running.assign(order(serial=2, desired="Stopped"))
    stopped = await running.told(GUEST, "Stopped")
    assert stopped.status == "True"
    assert running.driver.running() == set()
    await running.assign(order(serial=3))
    assert (await running.told(GUEST, "Running")).status == "True"
    assert running.disk(GUEST).read_text() == "what the guest wrote"
    assert running.driver.starts[GUEST] == 2


@pytest.mark.parametrize("policy", ["OnFailure", "Never"])
async def test_a_power_cycle_by_order_asks_no_restart_policy(running: AgentHost, policy: str) -> None:
    await running.assign(order(serial=2, desired="Stopped", spec={"restart_policy": policy}))
    await running.told(GUEST, "Stopped")
    await running.assign(order(serial=3, spec={"restart_policy": policy}))
    await running.told(GUEST, "Running")


async def test_a_guest_that_ignores_the_power_button_is_stopping_until_its_grace_is_over(
    running: AgentHost,
) -> None:
    running.gates.held.add("before-stop")
    await running.assign(order(serial=2, desired="Stopped"))
    stopping = await running.told(GUEST, "Stopping")
    assert stopping.status == "False"
    running.gates.open()
    await running.told(GUEST, "Stopped")


async def test_a_change_of_mind_while_it_stops_ends_in_a_running_guest(running: AgentHost) -> None:
    running.gates.held.add("before-stop")
    await running.assign(order(serial=2, desired="Stopped", spec={"restart_policy": "Never"}))
    await running.gates.reached["before-stop"].wait()
    await running.assign(order(serial=3, spec={"restart_policy": "Never"}))
    await running.told(GUEST, "Starting")
    running.gates.open()
    await running.told(GUEST, "Running")
    assert running.driver.running() == {GUEST}
    assert running.driver.starts[GUEST] == 2, "it heard already that it is to power off"


async def test_a_guest_that_is_destroyed_has_no_grace_left(running: AgentHost) -> None:
    running.driver.deaf.add(GUEST)
    await running.assign(order(serial=2, desired="Stopped"))
    await eventually(lambda: running.gates.passed["before-stop"])
    await running.assign(order(serial=3, desired="Destroyed", image=None))
    await running.told(GUEST, "Destroyed", outcome="Destroyed")
    assert running.driver.stops[GUEST] == 0, "its stop was cut"


async def test_a_guest_ordered_off_from_the_first_day_is_ready_and_starts_later(host: AgentHost) -> None:
    host.start()
    await host.assign(order(desired="Stopped"))
    assert (await host.told(GUEST, "Stopped")).status == "True"
    assert host.driver.starts[GUEST] == 0
    await host.assign(order(serial=2))
    await host.told(GUEST, "Running")


@pytest.mark.parametrize("end", ["power_off", "crash"])
async def test_always_starts_a_guest_again_however_it_ended(running: AgentHost, end: str) -> None:
    getattr(running.driver, end)(GUEST)
    await eventually(lambda: running.driver.starts[GUEST] == 2)
    await running.told(GUEST, "Running")
    assert running.figure("innkeeper_agent_restarts_total") == 1


async def test_a_crash_is_told_with_the_pause_before_the_restart(running: AgentHost) -> None:
    for count in range(2, 4):
        running.driver.crash(GUEST)
        await eventually(lambda count=count: running.driver.starts[GUEST] == count)
        await running.told(GUEST, "Running")
    running.driver.crash(GUEST)
    crashed = await running.told(GUEST, "Crashed")
    assert crashed.status == "False"
    assert "4 s" in crashed.message, "the pauses double"


async def test_a_guest_that_ends_again_and_again_is_counted_until_it_shall_be_off(host: AgentHost) -> None:
    host.clock = clock = ManualClock()
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    for count in range(2, 8):
        host.driver.crash(GUEST)

        async def started(count: int = count) -> bool:
            clock.advance(1)
            return host.driver.starts[GUEST] == count

        await eventually(started, deadline_s=60)
        await eventually(lambda: host.driver.running() == {GUEST})
    assert host.figure("innkeeper_agent_guests_crashing") == 1
    await host.assign(order(serial=2, desired="Stopped"))
    await host.told(GUEST, "Stopped")
    assert host.figure("innkeeper_agent_guests_crashing") == 0


@pytest.mark.parametrize(
    ("policy", "end", "reason", "ready"),
    [
        ("OnFailure", "power_off", "Completed", "True"),
        ("Never", "power_off", "Completed", "True"),
        ("Never", "crash", "Crashed", "False"),
    ],
)
async def test_a_policy_that_lets_it_rest(
    host: AgentHost, policy: str, end: str, reason: str, ready: str
) -> None:
    host.start()
    await host.assign(order(spec={"restart_policy": policy}))
    await host.told(GUEST, "Running")
    getattr(host.driver, end)(GUEST)
    rests = await host.told(GUEST, reason)
    assert rests.status == ready
    assert policy in rests.message
    await host.kill()
    host.reboot()
    host.start()
    await host.told(GUEST, reason)
    assert host.driver.starts[GUEST] == 1, "neither a new agent nor a reboot wakes it"
    await host.assign(order(serial=2, spec={"restart_policy": "Always"}))
    host.driver.crash(GUEST)
    await host.told(GUEST, "Running")


async def test_a_reboot_of_the_host_starts_what_shall_run(running: AgentHost) -> None:
    await running.kill()
    running.reboot()
    running.start()
    await eventually(lambda: running.driver.running() == {GUEST})
    await running.told(GUEST, "Running")


async def test_destroyed_leaves_nothing_but_a_tombstone(running: AgentHost) -> None:
    await running.assign(order(serial=2, desired="Destroyed", image=None))
    gone = await running.told(GUEST, "Destroyed", outcome="Destroyed")
    assert gone.status == "False"
    assert running.driver.spec(GUEST) is None
    assert not running.disk(GUEST).parent.exists()
    assert running.images.users == set()
    held = (await running.assignment(GUEST)).status.held
    assert held is not None
    assert (held.epoch, held.serial) == (1, 2)


async def test_a_destruction_that_fails_is_told_and_goes_on(running: AgentHost) -> None:
    running.gates.failures["before-remove"].append(failure("DriverFailed", "libvirt does not answer"))
    await running.assign(order(serial=2, desired="Destroyed"))
    assert (await running.told(GUEST, "DriverFailed")).message == "libvirt does not answer"
    await running.told(GUEST, "Destroyed", outcome="Destroyed")


async def test_an_order_to_destroy_cuts_a_build_short(host: AgentHost) -> None:
    host.gates.held.add("fetch")
    host.start()
    await host.assign(order())
    await host.gates.reached["fetch"].wait()
    await host.assign(order(serial=2, desired="Destroyed"))
    await host.told(GUEST, "Destroyed", outcome="Destroyed")
    assert host.driver.starts[GUEST] == 0


async def test_destroying_a_guest_that_was_never_here_is_done_at_once(host: AgentHost) -> None:
    host.start()
    await host.assign(order(desired="Destroyed"))
    await host.told(GUEST, "Destroyed", outcome="Destroyed")
