"""The simulated driver keeps the promises of every driver."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.agent.drivers.driver import DomainSpec
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.clock import SystemClock
from tests.kit.driver_conformance import Bench, DriverConformance


class SimulatedBench:
    """Machines in memory."""

    def __init__(self, directory: Path) -> None:
        self.driver = SimulatedDriver(SystemClock())
        self._directory = directory

    async def polite(self, guest_id: str) -> DomainSpec:
        files = self._directory / guest_id
        return DomainSpec(
            guest_id=guest_id,
            cpu_millis=500,
            memory_bytes=64 * 1024**2,
            disk=files / "disk.qcow2",
            seed=files / "seed.iso",
            interfaces=(),
            console_log=files / "console.log",
        )

    async def deaf(self, guest_id: str) -> DomainSpec:
        self.driver.deaf.add(guest_id)
        return await self.polite(guest_id)

    async def power_off_by_itself(self, guest_id: str) -> None:
        await self.driver.define(await self.polite(guest_id))
        await self.driver.start(guest_id)
        self.driver.power_off(guest_id)

    def kill(self, guest_id: str) -> None:
        self.driver.crash(guest_id)

    def alive(self, guest_id: str) -> int:
        return int(guest_id in self.driver.running())


class TestSimulated(DriverConformance):
    """The suite, in memory."""

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        made = SimulatedBench(tmp_path)
        yield made
        await made.driver.close()
