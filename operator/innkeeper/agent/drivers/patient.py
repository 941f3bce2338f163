"""A driver whose calls run to their end even where the caller is cancelled.

A call to a hypervisor cannot be taken back half way: whoever comes next must find it done or not begun. The grace of a
stop is no such call: it may last for long, and ends when the caller is cancelled.
"""

from collections.abc import AsyncIterator

from innkeeper.agent.drivers.driver import (
    DomainEvent,
    DomainSpec,
    DomainState,
    DomainUsage,
    Driver,
    Hypervisor,
)
from innkeeper.to_its_end import to_its_end


class PatientDriver:
    """Wraps a driver; see the module."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @property
    def name(self) -> str:
        """The wrapped driver's name."""
        return self._driver.name

    async def probe(self) -> Hypervisor:
        """Find out what the machine has."""
        return await self._driver.probe()

    async def domains(self) -> dict[str, DomainState]:
        """Return every machine of ours."""
        return await self._driver.domains()

    async def usage(self) -> dict[str, DomainUsage]:
        """Return what every machine takes."""
        return await self._driver.usage()

    async def define(self, spec: DomainSpec) -> None:
        """Make the machine known."""
        await to_its_end(self._driver.define(spec))

    async def start(self, guest_id: str) -> None:
        """Start a machine."""
        await to_its_end(self._driver.start(guest_id))

    async def pause(self, guest_id: str) -> None:
        """Have a machine stand still."""
        await to_its_end(self._driver.pause(guest_id))

    async def resume(self, guest_id: str) -> None:
        """Let a paused machine go on."""
        await to_its_end(self._driver.resume(guest_id))

    async def pull(self, guest_id: str, *, bytes_per_s: int) -> None:
        """Begin to make a disk whole."""
        await to_its_end(self._driver.pull(guest_id, bytes_per_s=bytes_per_s))

    async def stop(self, guest_id: str, *, grace_s: float) -> None:
        """Stop a machine; drivers themselves see to it that power is taken wholly or not at all."""
        await self._driver.stop(guest_id, grace_s=grace_s)

    async def guest_agent_answers(self, guest_id: str, *, within_s: int) -> bool:
        """Ask the guest agent."""
        return await self._driver.guest_agent_answers(guest_id, within_s=within_s)

    async def remove(self, guest_id: str) -> None:
        """Remove a machine."""
        await to_its_end(self._driver.remove(guest_id))

    def events(self) -> AsyncIterator[DomainEvent]:
        """Yield events."""
        return self._driver.events()

    async def close(self) -> None:
        """Let go of the hypervisor."""
        await self._driver.close()
