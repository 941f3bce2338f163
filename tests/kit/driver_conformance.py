"""What every driver promises, as tests: run against libvirt and against the simulated one.

A subclass gives a `bench`: a driver with the means to make guests that behave in one way and to break them from outside.
"""

import asyncio
from pathlib import Path
from typing import Protocol

import pytest

from innkeeper.agent.drivers.driver import DomainEvent, DomainPhase, DomainSpec, Driver, DriverError
from tests.kit.waiting import eventually, one_turn

GUEST = "0e4d6e1c-6c53-4a41-9f04-7c1f6e0b5a11"
OTHER = "7b1f3c52-93c5-4b62-8a0e-1d5a52f3c9aa"
LONG_S = 600.0


class Bench(Protocol):
    """One driver and its machines."""

    driver: Driver

    async def polite(self, guest_id: str) -> DomainSpec:
        """A guest that powers off when it is asked to."""

    async def deaf(self, guest_id: str) -> DomainSpec:
        """A guest that does not."""

    async def power_off_by_itself(self, guest_id: str) -> None:
        """Define and start a guest that powers itself off soon."""

    def kill(self, guest_id: str) -> None:
        """Kill the machine's process."""

    def alive(self, guest_id: str) -> int:
        """How many machines of the guest there really are."""


class DriverConformance:
    """The suite."""

    @pytest.fixture
    def bench(self) -> Bench:
        """Return, or yield, the driver to be tested."""
        raise NotImplementedError("each driver's own test class gives its bench")

    async def test_probe_says_what_the_machine_has(self, bench: Bench) -> None:
        found = await bench.driver.probe()
        assert found.capacity.cpu_millis >= 1000
        assert found.capacity.memory_bytes > 256 * 1024**2
        assert found.capacity.disk_bytes > 0
        assert found.version

    async def test_a_defined_machine_is_off_until_it_is_started(self, bench: Bench) -> None:
        await bench.driver.define(await bench.polite(GUEST))
        assert await phase(bench) is DomainPhase.OFF
        assert bench.alive(GUEST) == 0
        await bench.driver.start(GUEST)
        assert await phase(bench) is DomainPhase.RUNNING
        assert bench.alive(GUEST) == 1

    async def test_define_and_start_again_change_nothing(self, bench: Bench) -> None:
        spec = await bench.polite(GUEST)
        for _ in range(2):
            await bench.driver.define(spec)
            await bench.driver.start(GUEST)
        assert await phase(bench) is DomainPhase.RUNNING
        assert bench.alive(GUEST) == 1

    async def test_two_starts_at_once_make_one_machine(self, bench: Bench) -> None:
        await bench.driver.define(await bench.polite(GUEST))
        await asyncio.gather(bench.driver.start(GUEST), bench.driver.start(GUEST), return_exceptions=True)
        assert await phase(bench) is DomainPhase.RUNNING
        assert bench.alive(GUEST) == 1

    async def test_an_unknown_machine_cannot_be_started(self, bench: Bench) -> None:
        with pytest.raises(DriverError, match="defined"):
            await bench.driver.start(GUEST)

    async def test_stop_lets_the_guest_power_off(self, bench: Bench) -> None:
        await self._run(bench, await bench.polite(GUEST))
        async with asyncio.timeout(30):  # far less than the grace
            await bench.driver.stop(GUEST, grace_s=LONG_S)
        assert not (await bench.driver.domains())[GUEST].phase.alive
        assert bench.alive(GUEST) == 0

    async def test_stop_takes_the_power_of_a_guest_that_does_not_listen(self, bench: Bench) -> None:
        await self._run(bench, await bench.deaf(GUEST))
        await bench.driver.stop(GUEST, grace_s=0.3)
        assert await phase(bench) is DomainPhase.STOPPED
        assert bench.alive(GUEST) == 0

    async def test_a_stop_that_is_cut_in_its_grace_ends_at_once_and_takes_no_power(
        self, bench: Bench
    ) -> None:
        await self._run(bench, await bench.deaf(GUEST))
        stop = asyncio.create_task(bench.driver.stop(GUEST, grace_s=LONG_S))
        await one_turn()
        stop.cancel()
        async with asyncio.timeout(30):  # far less than the grace
            await asyncio.gather(stop, return_exceptions=True)
        assert await phase(bench) is DomainPhase.RUNNING
        await bench.driver.remove(GUEST)
        assert bench.alive(GUEST) == 0

    async def test_stop_may_be_repeated_and_absence_is_fine(self, bench: Bench) -> None:
        await bench.driver.stop(GUEST, grace_s=LONG_S)
        await self._run(bench, await bench.polite(GUEST))
        await asyncio.gather(*(bench.driver.stop(GUEST, grace_s=10) for _ in range(2)))
        await bench.driver.stop(GUEST, grace_s=LONG_S)
        assert bench.alive(GUEST) == 0

    async def test_a_stopped_machine_starts_again(self, bench: Bench) -> None:
        await self._run(bench, await bench.polite(GUEST))
        await bench.driver.stop(GUEST, grace_s=10)
        await bench.driver.start(GUEST)
        assert await phase(bench) is DomainPhase.RUNNING

    async def test_without_a_grace_power_is_taken_at_once(self, bench: Bench) -> None:
        await self._run(bench, await bench.polite(GUEST))
        await bench.driver.stop(GUEST, grace_s=0)
        assert await phase(bench) is DomainPhase.STOPPED

    async def test_a_paused_machine_stands_still_until_it_is_resumed(self, bench: Bench) -> None:
        await self._run(bench, await bench.polite(GUEST))
        for _ in range(2):
            await bench.driver.pause(GUEST)
            assert await phase(bench) is DomainPhase.PAUSED
        assert bench.alive(GUEST) == 1
        for _ in range(2):
            await bench.driver.resume(GUEST)
            assert await phase(bench) is DomainPhase.RUNNING

    async def test_a_machine_that_is_off_stays_off_when_it_is_resumed(self, bench: Bench) -> None:
        await bench.driver.resume(GUEST)  # nobody has defined it yet
        await self._run(bench, await bench.polite(GUEST))
        await bench.driver.stop(GUEST, grace_s=0)
        await bench.driver.resume(GUEST)
        assert await phase(bench) is DomainPhase.STOPPED

    async def test_a_paused_machine_hears_that_it_is_to_power_off(self, bench: Bench) -> None:
        await self._run(bench, await bench.polite(GUEST))
        await bench.driver.pause(GUEST)
        async with asyncio.timeout(30):  # far less than the grace
            await bench.driver.stop(GUEST, grace_s=LONG_S)
        assert await phase(bench) is DomainPhase.COMPLETED

    async def test_only_a_machine_that_lives_can_be_paused(self, bench: Bench) -> None:
        with pytest.raises(DriverError, match="does not run"):
            await bench.driver.pause(GUEST)
        await bench.driver.define(await bench.polite(GUEST))
        with pytest.raises(DriverError, match="does not run"):
            await bench.driver.pause(GUEST)

    async def test_each_run_of_a_machine_is_another_instance(self, bench: Bench) -> None:
        spec = await bench.polite(GUEST)
        await bench.driver.define(spec)
        assert await instance(bench) == ""
        await bench.driver.start(GUEST)
        first = await instance(bench)
        assert first
        await bench.driver.define(spec)
        await bench.driver.start(GUEST)
        await bench.driver.pause(GUEST)
        await bench.driver.resume(GUEST)
        assert await instance(bench) == first
        await bench.driver.stop(GUEST, grace_s=0)
        assert await instance(bench) == ""
        await bench.driver.start(GUEST)
        assert await instance(bench) not in ("", first)

    async def test_a_guest_that_powers_off_is_completed_and_an_event_says_so(self, bench: Bench) -> None:
        heard = Heard(bench.driver)
        await bench.power_off_by_itself(GUEST)
        await eventually(lambda: is_phase(bench, DomainPhase.COMPLETED), deadline_s=30)
        await heard.of(GUEST)
        await heard.close()

    async def test_a_killed_machine_is_crashed_and_an_event_says_so(self, bench: Bench) -> None:
        await self._run(bench, await bench.polite(GUEST))
        heard = Heard(bench.driver)
        await eventually(lambda: is_phase(bench, DomainPhase.RUNNING))
        bench.kill(GUEST)
        await heard.of(GUEST)
        await eventually(lambda: is_phase(bench, DomainPhase.CRASHED), deadline_s=30)
        await heard.close()

    async def test_usage_tells_of_every_machine_that_lives(self, bench: Bench) -> None:
        assert await bench.driver.usage() == {}
        await bench.driver.define(await bench.polite(OTHER))
        await self._run(bench, await bench.polite(GUEST))
        found = await bench.driver.usage()
        assert set(found) == {GUEST}, "a machine that is off takes nothing"
        assert found[GUEST].instance == await instance(bench)

        async def goes_up() -> bool:
            now = (await bench.driver.usage())[GUEST]
            assert 1024**2 < now.memory_bytes < 1024**4, "a machine that is busy does not say"
            return now.cpu_seconds > found[GUEST].cpu_seconds

        await eventually(goes_up, deadline_s=60)
        await bench.driver.stop(GUEST, grace_s=0)
        assert await bench.driver.usage() == {}

    async def test_remove_ends_and_forgets_one_machine_only(self, bench: Bench) -> None:
        await self._run(bench, await bench.polite(GUEST))
        await self._run(bench, await bench.polite(OTHER))
        await bench.driver.remove(GUEST)
        await bench.driver.remove(GUEST)
        assert set(await bench.driver.domains()) == {OTHER}
        assert (bench.alive(GUEST), bench.alive(OTHER)) == (0, 1)

    async def test_removing_leaves_files_alone(self, bench: Bench) -> None:
        spec = await bench.polite(GUEST)
        await self._run(bench, spec)
        there = await asyncio.to_thread(_files, spec.disk.parent)
        await bench.driver.remove(GUEST)
        assert await asyncio.to_thread(_files, spec.disk.parent) >= there

    async def test_machines_outlive_the_driver(self, bench: Bench) -> None:
        await self._run(bench, await bench.polite(GUEST))
        await bench.driver.close()
        assert bench.alive(GUEST) == 1

    async def test_events_end_when_the_driver_is_closed(self, bench: Bench) -> None:
        heard = Heard(bench.driver)
        await bench.driver.domains()
        await bench.driver.close()
        async with asyncio.timeout(10):
            await heard.task

    async def test_a_guest_without_a_guest_agent_does_not_answer(self, bench: Bench) -> None:
        await self._run(bench, await bench.polite(GUEST))
        assert not await bench.driver.guest_agent_answers(GUEST, within_s=1)
        assert not await bench.driver.guest_agent_answers("none-such", within_s=1)

    async def _run(self, bench: Bench, spec: DomainSpec) -> None:
        await bench.driver.define(spec)
        await bench.driver.start(spec.guest_id)
        assert await phase(bench, spec.guest_id) is DomainPhase.RUNNING


class Heard:
    """The events of a driver, collected from now on."""

    def __init__(self, driver: Driver) -> None:
        self.events: list[DomainEvent] = []
        self._source = driver.events()
        self.task = asyncio.create_task(self._collect())

    async def of(self, guest_id: str) -> None:
        """Wait for news of a guest."""
        await eventually(lambda: DomainEvent(guest_id) in self.events, deadline_s=30)

    async def close(self) -> None:
        """Stop listening."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _collect(self) -> None:
        async for event in self._source:
            self.events.append(event)


async def phase(bench: Bench, guest_id: str = GUEST) -> DomainPhase | None:
    """Return the phase of a guest's machine; None where there is none."""
    state = (await bench.driver.domains()).get(guest_id)
    return None if state is None else state.phase


async def instance(bench: Bench) -> str:
    """Return which run of its machine the guest is in."""
    return (await bench.driver.domains())[GUEST].instance


async def is_phase(bench: Bench, wanted: DomainPhase, guest_id: str = GUEST) -> bool:
    """Tell whether the machine is in a phase."""
    return await phase(bench, guest_id) is wanted


def _files(directory: Path) -> set[Path]:
    return set(directory.iterdir()) if directory.is_dir() else set()
