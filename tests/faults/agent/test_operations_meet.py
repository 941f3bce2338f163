"""What an operation may meet at its host: a hypervisor that is away, the host's reboot, a person who stops the guest."""

import asyncio

import pytest

from innkeeper.agent.drivers.driver import HypervisorAwayError
from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.operations import operating
from innkeeper.agent.paths import StatePaths
from innkeeper.clock import SystemClock
from innkeeper.domain.orders import Order, OrderOperation
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually, settled

GUEST = guest_id()
AWAY = "libvirt cannot be reached"


def asking(kind: str, *, serial: int = 2, desired: str = "Running", policy: str = "Never") -> Order:
    """An order of a guest that nobody would start again by itself, with an operation."""
    operation = OrderOperation(id="operation-1", kind=kind)
    return order(serial=serial, operation=operation, desired=desired, spec={"restart_policy": policy})


def goes_away(host: AgentHost, point: str, *, times: int) -> None:
    """Have calls fail as they do while libvirt is away."""
    host.gates.failures[point] += [HypervisorAwayError(AWAY) for _ in range(times)]


async def half_done(host: AgentHost, policy: str) -> None:
    """Kill the agent after it kept that a reboot began, and before the machine was touched."""
    goes_away(host, "before-stop", times=1)
    await host.assign(asking("Reboot", policy=policy))
    await eventually(lambda: not host.gates.failures["before-stop"])
    await host.kill()
    assert host.driver.running() == {GUEST}


async def say(host: AgentHost, verb: Verb) -> None:
    question = Question(verb=verb, guest=GUEST, by="root")
    await ask(StatePaths(host.directory), question, clock=SystemClock())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating, "FIRST_PAUSE_S", 0.02)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("Reboot", ["domains"]),
        ("Reboot", ["before-stop"]),
        ("Reboot", ["after-stop"]),
        ("HardReboot", ["before-start"]),
        ("HardReboot", ["after-start"]),
        ("Reboot", ["domains", "after-stop", "before-define", "after-start"]),
        ("Pause", ["before-pause", "after-pause"]),
    ],
)
async def test_a_hypervisor_that_is_away_is_waited_for_and_it_is_done_once(
    running: AgentHost, kind: str, points: list[str]
) -> None:
    for point in points:
        goes_away(running, point, times=2)
    await running.assign(asking(kind))
    told = await running.ended_operation(GUEST, "operation-1")
    assert (told.phase, told.reason) == ("Succeeded", None)
    await running.told(GUEST, "Paused" if kind == "Pause" else "Running")
    reboots = 0 if kind == "Pause" else 1
    assert (running.driver.starts[GUEST], running.driver.stops[GUEST]) == (1 + reboots, reboots)


async def test_it_is_not_waited_for_without_end(running: AgentHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(operating, "AWAY_S", 0.2)
    goes_away(running, "before-stop", times=1000)
    await running.assign(asking("Reboot"))
    told = await running.ended_operation(GUEST, "operation-1")
    assert (told.phase, told.reason) == ("Failed", "HypervisorAway")
    assert AWAY in (told.message or "")
    running.gates.failures.clear()
    await running.told(GUEST, "Running")
    assert (running.driver.starts[GUEST], running.driver.stops[GUEST]) == (1, 0)


@pytest.mark.parametrize("desired", ["Stopped", "Destroyed"])
async def test_another_order_ends_the_wait(running: AgentHost, desired: str) -> None:
    goes_away(running, "before-pause", times=1)
    await running.assign(asking("Pause"))
    await eventually(lambda: not running.gates.failures["before-pause"])
    await running.assign(asking("Pause", serial=3, desired=desired))
    await running.told(GUEST, desired, outcome="Destroyed" if desired == "Destroyed" else "Accepted")
    assert running.driver.pauses[GUEST] == 0
    if desired == "Stopped":
        assert (await running.ended_operation(GUEST, "operation-1")).reason == "GuestStopped"


async def test_a_host_that_rebooted_looks_for_newer_orders_before_it_operates(running: AgentHost) -> None:
    """The guest runs, so nothing but the gate keeps the operation back."""
    await half_done(running, "Always")
    await running.assign(asking("Reboot", serial=3, desired="Stopped"))
    running.clock = clock = ManualClock()
    hold = running.api.faults.hold("list assignments *", times=None)
    assert hold.gate is not None
    running.start()
    await eventually(lambda: hold.met)
    await settled(lambda: running.driver.stops[GUEST])
    assert running.driver.running() == {GUEST}, "it waits"
    hold.gate.set()
    assert (await running.ended_operation(GUEST, "operation-1")).reason == "GuestStopped"
    await running.told(GUEST, "Stopped")
    assert running.driver.starts[GUEST] == 1
    assert clock.monotonic() == ManualClock().monotonic(), "no grace was needed"


@pytest.mark.parametrize("policy", ["Always", "Never"])
async def test_a_reboot_whose_host_lost_its_power_meanwhile_is_done_once(
    running: AgentHost, policy: str
) -> None:
    """The run that it was for has ended, so what is left of it is a start."""
    await half_done(running, policy)
    running.reboot()
    running.start()
    assert (await running.ended_operation(GUEST, "operation-1")).phase == "Succeeded"
    await running.told(GUEST, "Running")
    await settled(lambda: running.driver.starts[GUEST])
    assert (running.driver.starts[GUEST], running.driver.stops[GUEST]) == (2, 0)


async def test_an_operation_that_a_rebooted_host_finds_first_says_that_the_guest_was_off(
    running: AgentHost,
) -> None:
    await running.kill()
    running.reboot()
    await running.assign(asking("HardReboot", policy="Always"))
    running.start()
    told = await running.ended_operation(GUEST, "operation-1")
    assert (told.phase, told.reason) == ("Failed", "GuestNotRunning")
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 2


@pytest.mark.parametrize("kind", ["Reboot", "Pause", "Resume"])
async def test_a_guest_that_a_person_at_the_host_stopped_stays_off(running: AgentHost, kind: str) -> None:
    await say(running, Verb.STOP)
    await running.told(GUEST, "StoppedAtHost")
    await running.assign(asking(kind))
    told = await running.ended_operation(GUEST, "operation-1")
    assert (told.phase, told.reason) == ("Failed", "GuestStopped")
    await running.told(GUEST, "StoppedAtHost")
    await running.kill()
    running.start()
    await running.told(GUEST, "StoppedAtHost")
    assert running.driver.running() == set()
    await say(running, Verb.START)
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 2, "the operation is over, and is not done later"


async def test_a_person_at_the_host_ends_a_reboot_that_is_under_way(running: AgentHost) -> None:
    running.gates.held.add("before-stop")
    await running.assign(asking("Reboot"))
    await running.gates.reached["before-stop"].wait()
    stop = asyncio.create_task(say(running, Verb.STOP))
    running.gates.open()
    await stop
    told = await running.ended_operation(GUEST, "operation-1")
    await running.told(GUEST, "StoppedAtHost")
    assert told.phase in ("Succeeded", "Failed")
    assert running.driver.running() == set()
