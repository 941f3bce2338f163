"""How much guests take: two readings make a rate, few questions reach the hypervisor."""

import asyncio
from pathlib import Path

import pytest

from innkeeper.agent.drivers.driver import DomainSpec, DomainUsage, DriverError
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.usage import FRESH_S, LONGEST_WINDOW_S, UsageMeter
from innkeeper.domain.host_usage import HostUsage
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually


class Counted(SimulatedDriver):
    """A simulated driver that counts questions, and fails where a test says so."""

    asked = 0
    fails = False

    async def usage(self) -> dict[str, DomainUsage]:
        self.asked += 1
        if self.fails:
            raise DriverError("libvirt did not answer")
        return await super().usage()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def driver(clock: ManualClock) -> Counted:
    made = Counted(clock)
    await start(made, "g1")
    return made


async def start(driver: SimulatedDriver, guest_id: str, *, cpu_millis: int = 500) -> None:
    nowhere = Path("/none")
    spec = DomainSpec(
        guest_id=guest_id,
        cpu_millis=cpu_millis,
        memory_bytes=1 << 30,
        disk=nowhere,
        seed=nowhere,
        interfaces=(),
        console_log=nowhere,
    )
    await driver.define(spec)
    await driver.start(guest_id)


async def read(meter: UsageMeter, clock: ManualClock) -> HostUsage:
    """Read, and let the time go by that a first answer takes."""
    task = asyncio.create_task(meter.read())
    await eventually(lambda: clock.sleepers or task.done())
    if not task.done():
        clock.advance(1)
    return await task


def figures(found: HostUsage) -> dict[str, tuple[int, int]]:
    return {each.guest_id: (each.cpu_millis, each.memory_bytes) for each in found.guests}


async def test_the_first_answer_takes_two_readings(driver: Counted, clock: ManualClock) -> None:
    found = await read(UsageMeter("a", driver, clock), clock)
    assert figures(found) == {"g1": (500, 1 << 30)}
    assert (found.host, found.window_s, driver.asked) == ("a", 1.0, 2)


async def test_an_answer_is_given_again_while_it_is_fresh(driver: Counted, clock: ManualClock) -> None:
    meter = UsageMeter("a", driver, clock)
    first = await read(meter, clock)
    assert await asyncio.gather(meter.read(), meter.read()) == [first, first]
    assert driver.asked == 2
    clock.advance(FRESH_S + 1)
    assert (await meter.read()).window_s == FRESH_S + 1
    assert driver.asked == 3


async def test_a_reading_of_long_ago_says_nothing_about_now(driver: Counted, clock: ManualClock) -> None:
    meter = UsageMeter("a", driver, clock)
    await read(meter, clock)
    clock.advance(LONGEST_WINDOW_S + 1)
    assert (await read(meter, clock)).window_s == 1.0


async def test_a_machine_that_began_anew_counts_from_nothing(driver: Counted, clock: ManualClock) -> None:
    meter = UsageMeter("a", driver, clock)
    clock.advance(1000)
    await read(meter, clock)
    driver.crash("g1")
    clock.advance(8)
    await driver.start("g1")
    await start(driver, "g2", cpu_millis=1000)
    clock.advance(2)
    assert figures(await meter.read()) == {"g1": (100, 1 << 30), "g2": (200, 1 << 30)}


async def test_a_machine_too_busy_to_say_its_memory_has_the_last_known(
    driver: Counted, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = UsageMeter("a", driver, clock)
    await read(meter, clock)
    clock.advance(FRESH_S + 1)
    busy = DomainUsage(instance="1", cpu_seconds=3.5, memory_bytes=0)

    async def usage() -> dict[str, DomainUsage]:
        return {"g1": busy, "g2": busy}

    monkeypatch.setattr(driver, "usage", usage)
    assert {each.guest_id: each.memory_bytes for each in (await meter.read()).guests} == {
        "g1": 1 << 30,
        "g2": 0,
    }


async def test_what_is_off_takes_nothing(driver: Counted, clock: ManualClock) -> None:
    driver.power_off("g1")
    assert figures(await read(UsageMeter("a", driver, clock), clock)) == {}


async def test_a_hypervisor_that_does_not_answer_is_told_and_asked_again(
    driver: Counted, clock: ManualClock
) -> None:
    meter = UsageMeter("a", driver, clock)
    driver.fails = True
    with pytest.raises(DriverError, match="did not answer"):
        await meter.read()
    driver.fails = False
    assert figures(await read(meter, clock)) == {"g1": (500, 1 << 30)}
