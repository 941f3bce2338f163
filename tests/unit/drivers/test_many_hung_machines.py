"""The libvirt driver while machines that stand still keep all its threads: no other guest pays for them.

libvirt is in memory here: its calls hang until the test lets them go on. What real machines do is tried in tests/e2e.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

libvirt = pytest.importorskip("libvirt")

from innkeeper.agent.drivers.driver import HypervisorAwayError  # noqa: E402 - these need libvirt-python
from innkeeper.agent.drivers.libvirt import driver as driver_module  # noqa: E402
from innkeeper.agent.drivers.libvirt import guest_calls  # noqa: E402
from innkeeper.agent.drivers.libvirt.driver import ASKS, PULLS, LibvirtDriver  # noqa: E402
from tests.kit.agent_orders import guest_id  # noqa: E402
from tests.kit.waiting import eventually  # noqa: E402

GUEST = guest_id()
HUNG = [guest_id(number) for number in range(2, 2 + max(ASKS, PULLS))]


class Machine:
    """A machine that runs, with a button that switches it off at once unless its QEMU stands still."""

    def __init__(self, name: str, go_on: threading.Event) -> None:
        self._name = name
        self._go_on = go_on
        self.is_up = True
        self.is_deaf = False  # it does not heed its button
        self.presses = 0
        self.lost_its_power = False
        self.agent_answers_s = 0

    def isActive(self) -> bool:  # noqa: N802 - libvirt's name
        """Tell whether it runs."""
        return self.is_up

    def state(self) -> list[int]:
        """Tell what it does."""
        return [libvirt.VIR_DOMAIN_RUNNING, 0]

    def shutdownFlags(self, _flags: int) -> None:  # noqa: N802
        """Press the power button."""
        self._hang()
        self.presses += 1
        self.is_up = self.is_deaf

    def blockJobInfo(self, _disk: str) -> dict[str, int]:  # noqa: N802
        """Tell of the copy under way."""
        self._hang()
        return {"type": 1}

    def agentSetResponseTimeout(self, seconds: int) -> None:  # noqa: N802
        """Take how long its guest agent may be silent."""
        self.agent_answers_s = seconds

    def getTime(self) -> dict[str, int]:  # noqa: N802
        """Answer as a guest agent."""
        return {"seconds": 1}

    def destroy(self) -> None:
        """Take its power."""
        self.is_up, self.lost_its_power = False, True

    def _hang(self) -> None:
        if any(each in self._name for each in HUNG):
            self._go_on.wait()


class Libvirt:
    """A libvirt that knows every machine it is asked about."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.stands_still = False  # the daemon itself: nobody gets a connection
        self.machines: dict[str, Machine] = {}

    def isAlive(self) -> int:  # noqa: N802
        """Be alive."""
        return 1

    def lookupByName(self, name: str) -> Machine:  # noqa: N802
        """Find a machine."""
        return self.machines.setdefault(name, Machine(name, self.go_on))

    def machine(self, of: str) -> Machine:
        """Return the machine of a guest."""
        [found] = (each for name, each in self.machines.items() if of in name)
        return found


@pytest.fixture
def hypervisor(monkeypatch: pytest.MonkeyPatch) -> Libvirt:
    made = Libvirt()

    def connected(_uri: str) -> Libvirt:
        if made.stands_still:
            made.go_on.wait()
        return made

    monkeypatch.setattr(guest_calls, "open_connection", connected)
    return made


@pytest.fixture
async def driver(hypervisor: Libvirt, tmp_path: Path) -> AsyncIterator[LibvirtDriver]:
    made = LibvirtDriver("test", disk_directory=tmp_path, press_again_s=0.01)
    yield made
    hypervisor.go_on.set()
    await made.close()


async def stops_that_hang(driver: LibvirtDriver) -> list[asyncio.Task[None]]:
    stops = [asyncio.create_task(driver.stop(each, grace_s=600)) for each in HUNG[:ASKS]]
    await eventually(lambda: all(driver._asks.is_silent(each) for each in HUNG[:ASKS]))
    return stops


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_guest_that_was_not_asked_keeps_its_power(hypervisor: Libvirt, driver: LibvirtDriver) -> None:
    stops = await stops_that_hang(driver)
    hypervisor.lookupByName(driver_module.xml.domain_name(GUEST))
    with pytest.raises(HypervisorAwayError, match="was not asked"):
        await driver.stop(GUEST, grace_s=0.1)
    assert hypervisor.machine(GUEST).is_up
    hypervisor.go_on.set()
    await driver.stop(GUEST, grace_s=60)
    assert not hypervisor.machine(GUEST).lost_its_power, "it shut down by itself"
    await end(stops)


async def test_nor_is_it_taken_for_silent_at_the_deadline_of_a_call(
    hypervisor: Libvirt, driver: LibvirtDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = await stops_that_hang(driver)
    hypervisor.lookupByName(driver_module.xml.domain_name(GUEST))
    ask = driver._asks.call
    monkeypatch.setattr(
        driver._asks, "call", lambda work, *, about, **_: ask(work, about=about, deadline_s=0.1)
    )
    with pytest.raises(HypervisorAwayError, match=f"owes {ASKS} answers"):
        await driver.stop(GUEST, grace_s=600)
    assert hypervisor.machine(GUEST).is_up
    await end(stops)


async def test_a_machine_that_stands_still_loses_its_power_though_it_hears_nothing_new(
    hypervisor: Libvirt, driver: LibvirtDriver
) -> None:
    silent = HUNG[0]
    await end(await stops_that_hang(driver))
    await driver.stop(silent, grace_s=0.1)
    assert hypervisor.machine(silent).lost_its_power


async def test_pulls_that_hang_keep_the_power_button_from_nobody(
    hypervisor: Libvirt, driver: LibvirtDriver
) -> None:
    pulls = [asyncio.create_task(driver.pull(each, bytes_per_s=0)) for each in HUNG]
    await eventually(lambda: driver._pulls.unanswered == len(HUNG))
    await driver.stop(GUEST, grace_s=60)
    assert not hypervisor.machine(GUEST).lost_its_power
    await end(pulls)


async def test_a_guest_keeps_its_power_where_libvirt_itself_stands_still(
    hypervisor: Libvirt, driver: LibvirtDriver
) -> None:
    """No call reaches it: the guest was not asked, and is not switched off once libvirt goes on."""
    machine = hypervisor.lookupByName(driver_module.xml.domain_name(GUEST))
    hypervisor.stands_still = True
    with pytest.raises(HypervisorAwayError, match="was not asked"):
        await driver.stop(GUEST, grace_s=0.1)
    hypervisor.go_on.set()
    await eventually(lambda: not driver._asks.unanswered)
    assert not machine.lost_its_power


async def test_a_guest_that_was_asked_is_off_after_its_grace_though_no_thread_is_left_to_ask_it_again(
    hypervisor: Libvirt, driver: LibvirtDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = hypervisor.lookupByName(driver_module.xml.domain_name(GUEST))
    machine.is_deaf = True
    ask, grace_s = driver._asks.call, 3.0
    monkeypatch.setattr(
        driver._asks, "call", lambda work, *, about, **_: ask(work, about=about, deadline_s=0.1)
    )
    stop = asyncio.create_task(driver.stop(GUEST, grace_s=grace_s))
    await eventually(lambda: machine.presses)
    stops = [asyncio.create_task(driver.stop(each, grace_s=600)) for each in HUNG[:ASKS]]
    await stop
    assert machine.lost_its_power
    await end(stops)


async def test_a_guest_agent_may_not_keep_a_thread_longer_than_its_caller(
    hypervisor: Libvirt, driver: LibvirtDriver
) -> None:
    machine = hypervisor.lookupByName(driver_module.xml.domain_name(GUEST))
    for within_s in (5, 3600):
        assert await driver.guest_agent_answers(GUEST, within_s=within_s)
        assert machine.agent_answers_s == min(within_s, driver_module.AGENT_ANSWERS_S)
    assert driver_module.AGENT_ANSWERS_S < driver_module.DEADLINE_S
