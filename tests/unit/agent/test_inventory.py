"""What the agent knows of machines, and how it notices."""

import asyncio
from pathlib import Path

from innkeeper.agent.drivers.driver import DomainPhase, DomainSpec, DomainState, DriverError
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.inventory import Inventory
from innkeeper.clock import SystemClock
from tests.kit.waiting import eventually

SPEC = DomainSpec(
    guest_id="g",
    cpu_millis=1000,
    memory_bytes=1,
    disk=Path("/disk"),
    seed=Path("/seed"),
    interfaces=(),
    console_log=Path("/log"),
)


class Moody(SimulatedDriver):
    """A hypervisor that sometimes does not answer."""

    away = False

    async def domains(self) -> dict[str, DomainState]:
        if self.away:
            raise DriverError("libvirt does not answer")
        return await super().domains()


async def test_what_happens_to_a_machine_is_noticed_by_its_event() -> None:
    driver = SimulatedDriver(SystemClock())
    told: list[str] = []
    inventory = Inventory(driver, SystemClock(), on_phase=told.append, on_trouble=lambda: None)
    following = asyncio.create_task(inventory.run())
    await driver.define(SPEC)
    await driver.start("g")
    await eventually(lambda: inventory.phases == {"g": DomainPhase.RUNNING})
    driver.crash("g")
    await eventually(lambda: inventory.phases == {"g": DomainPhase.CRASHED})
    await driver.remove("g")
    await eventually(lambda: inventory.phases == {})
    assert set(told) == {"g"}
    following.cancel()


async def test_a_hypervisor_that_does_not_answer_is_trouble_until_it_does() -> None:
    driver, troubles = Moody(SystemClock()), []
    inventory = Inventory(
        driver, SystemClock(), on_phase=lambda _: None, on_trouble=lambda: troubles.append(inventory.trouble)
    )
    await driver.define(SPEC)
    driver.away = True
    following = asyncio.create_task(inventory.run())
    await eventually(lambda: inventory.trouble == "libvirt does not answer")
    assert not inventory.known.is_set(), "nothing may be started on what is not known"
    driver.away = False
    await eventually(inventory.known.is_set)
    assert inventory.phases == {"g": DomainPhase.OFF}
    assert troubles == ["libvirt does not answer", None]
    following.cancel()


async def test_events_that_end_are_taken_up_again() -> None:
    driver = SimulatedDriver(SystemClock())
    inventory = Inventory(driver, SystemClock(), on_phase=lambda _: None, on_trouble=lambda: None)
    following = asyncio.create_task(inventory.run())
    await inventory.known.wait()
    await driver.close()
    await driver.define(SPEC)
    await driver.start("g")
    await eventually(lambda: "g" in inventory.phases)
    following.cancel()
