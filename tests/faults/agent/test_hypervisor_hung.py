"""The hypervisor hangs in a guest's call, or is slow to tell: every other guest goes on."""

import pytest

from innkeeper.agent.build.ports import Streamed
from innkeeper.agent.drivers.driver import DriverError
from innkeeper.agent.parts import AgentParts
from innkeeper.agent.pivot import LOOK_S
from innkeeper.domain.orders import Order, OrderOperation
from tests.kit.agent_host import AgentHost, GatedDriver
from tests.kit.agent_orders import guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually, settled

GUEST, OTHER = guest_id(), guest_id(2)


class HungDriver(GatedDriver):
    """Calls for one guest do not come back before their deadline."""

    hung: str = ""

    async def start(self, guest_id: str) -> None:
        """Start a machine."""
        await self._may_hang(guest_id)
        await super().start(guest_id)

    async def stop(self, guest_id: str, *, grace_s: float) -> None:
        """Stop a machine."""
        await self._may_hang(guest_id)
        await super().stop(guest_id, grace_s=grace_s)

    async def pull(self, guest_id: str, *, bytes_per_s: int) -> None:
        """Make a disk whole."""
        await self._may_hang(guest_id)
        await super().pull(guest_id, bytes_per_s=bytes_per_s)

    async def remove(self, guest_id: str) -> None:
        """Remove a machine."""
        await self._may_hang(guest_id)
        await super().remove(guest_id)

    async def _may_hang(self, guest_id: str) -> None:
        if guest_id == self.hung:
            await self.gates.at("hung")


@pytest.fixture
def hung(host: AgentHost) -> HungDriver:
    """Give the host a driver whose calls for the first guest hang."""
    driver = HungDriver(host.clock)
    driver.gates, driver.asked, driver.hung = host.gates, host.driver.asked, GUEST
    host.driver = driver
    host.gates.held.add("hung")
    return driver


async def test_a_start_that_hangs(host: AgentHost, hung: HungDriver) -> None:
    host.start()
    await host.assign(order())
    await host.gates.reached["hung"].wait()
    await host.assign(order(2))
    await host.told(OTHER, "Running")
    hung.crash(OTHER)
    await eventually(lambda: hung.starts[OTHER] == 2)
    await host.assign(order(2, serial=2, desired="Destroyed"))
    await host.told(OTHER, "Destroyed", outcome="Destroyed")
    host.gates.open()
    await host.told(GUEST, "Running")


@pytest.mark.parametrize("desired", ["Stopped", "Destroyed"])
async def test_a_stop_or_a_removal_that_hangs(host: AgentHost, hung: HungDriver, desired: str) -> None:
    hung.hung = ""
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    hung.hung = GUEST
    await host.assign(order(serial=2, desired=desired))
    await host.gates.reached["hung"].wait()
    await host.assign(order(2))
    await host.told(OTHER, "Running")
    host.gates.open()
    await host.told(GUEST, desired, outcome="Destroyed" if desired == "Destroyed" else "Accepted")


async def test_a_pull_that_hangs(host: AgentHost, hung: HungDriver) -> None:
    hung.hung = ""
    host.start()
    for number in (1, 2):
        await host.assign(order(number))
        await host.told(guest_id(number), "Running")
    hung.hung = GUEST
    host.images.on_stream = {GUEST, OTHER}
    host.images.streams["image"] = Streamed(is_whole=True, guests=(GUEST, OTHER))
    host.images.news.set()
    await host.gates.reached["hung"].wait()
    await eventually(lambda: hung.pulls[OTHER] > 0)
    host.images.on_stream = {GUEST}
    await eventually(lambda: host.images.streams["image"].guests == (GUEST,))


async def test_a_machine_that_answers_no_pull_is_not_asked_again_at_each_news(host: AgentHost) -> None:
    host.clock = clock = ManualClock()
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    answers = host.gates.failures["before-pull"]
    answers += [DriverError("libvirt does not answer") for _ in range(9)]
    host.images.on_stream = {GUEST}
    host.images.streams["image"] = Streamed(is_whole=True, guests=(GUEST,))
    for _ in range(20):
        host.images.news.set()
        await eventually(lambda: not host.images.news.is_set())
    await eventually(lambda: len(answers) == 8)
    assert await settled(lambda: len(answers)) == 8

    async def is_asked() -> bool:
        clock.advance(LOOK_S)
        return len(answers) < 8

    await eventually(is_asked)


@pytest.mark.parametrize("kind", ["Stopped", "Reboot"])
async def test_guests_in_their_grace_hold_up_no_other_whatever_is_ordered_of_them(
    host: AgentHost, kind: str
) -> None:
    """As many as there are workers: each of them would wait for an end that is a minute away."""
    deaf = range(1, AgentParts.workers + 1)
    host.start()
    for number in deaf:
        await host.assign(order(number))
        await host.told(guest_id(number), "Running")
    host.driver.deaf.update(guest_id(number) for number in deaf)
    for number in deaf:
        if kind == "Stopped":
            await host.assign(order(number, serial=2, desired="Stopped"))
        else:
            reboot = OrderOperation(id=f"op-{number}", kind="Reboot")
            await host.assign(order(number, serial=2, operation=reboot))
    await eventually(lambda: host.gates.passed["before-stop"] == len(deaf))
    for number in deaf:
        await host.assign(order(number, serial=3, desired="Running" if kind == "Stopped" else "Stopped"))
    other = len(deaf) + 1
    await host.assign(order(other))
    await host.told(guest_id(other), "Running")
    for number in deaf:
        await host.assign(order(number, serial=4, desired="Destroyed"))
        await host.told(guest_id(number), "Destroyed", outcome="Destroyed")


class SlowToTell(GatedDriver):
    """Tells nothing of its machines from a start on, until its gates open."""

    is_slow = True

    async def start(self, guest_id: str) -> None:
        """Start a machine."""
        await super().start(guest_id)
        if self.is_slow:
            self.gates.held.add("domains")


@pytest.fixture
def slow(host: AgentHost) -> SlowToTell:
    """Give the host a driver that is slow to tell what it has."""
    driver = SlowToTell(host.clock)
    driver.gates, driver.asked = host.gates, host.driver.asked
    host.driver = driver
    return driver


@pytest.mark.parametrize("operates", [False, True])
@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        (order(serial=3, desired="Stopped"), "Stopped"),
        (order(epoch=2, desired="Superseded", image=None, addresses=[]), "Superseded"),
    ],
)
async def test_a_guest_is_not_told_stopped_before_its_machines_were_read(
    host: AgentHost, slow: SlowToTell, ends: Order, reason: str, *, operates: bool
) -> None:
    """The order comes when the work is done, and what it did was not read yet."""
    slow.is_slow = not operates
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    if operates:
        slow.is_slow = True
        await host.assign(order(serial=2, operation=OrderOperation(id="operation-1", kind="HardReboot")))
        await host.ended_operation(GUEST, "operation-1")
    await host.gates.reached["domains"].wait()
    await host.assign(ends)
    await host.told(GUEST, "Stopping")
    host.gates.open()
    await host.told(GUEST, reason)
    assert host.driver.running() == set()


async def test_a_call_that_ends_at_its_deadline_is_told_and_tried_again(host: AgentHost) -> None:
    host.gates.failures["before-start"].append(DriverError("libvirt does not answer within 60 s"))
    host.start()
    await host.assign(order())
    assert "does not answer" in (await host.told(GUEST, "DriverFailed")).message
    await host.told(GUEST, "Running")
    assert host.driver.starts[GUEST] == 1
