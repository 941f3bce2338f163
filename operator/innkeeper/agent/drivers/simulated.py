"""A driver without machines: for scale tests and for tests of the agent. Never the default, and it runs nothing.

It keeps the promises of `driver` in memory: what was defined, what lives, how each machine ended. Tests make machines end
by themselves with `power_off` and `crash`, and the host with `reboot`; `forget_ends` restarts the hypervisor alone.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from innkeeper.agent.drivers.driver import (
    Capacity,
    DomainEvent,
    DomainPhase,
    DomainSpec,
    DomainState,
    DomainUsage,
    DriverError,
    Hypervisor,
    HypervisorKind,
)
from innkeeper.clock import Clock
from innkeeper.domain.reasons import GuestReason

_GIB = 1024**3
LARGE = Capacity(cpu_millis=64_000, memory_bytes=256 * _GIB, disk_bytes=4096 * _GIB)


@dataclass(frozen=True)
class _Machine:
    spec: DomainSpec
    phase: DomainPhase
    began: float = 0.0  # on the clock, when it was started last


class SimulatedDriver:
    """Machines that exist in memory only."""

    name = "simulated"

    def __init__(
        self,
        clock: Clock,
        *,
        capacity: Capacity = LARGE,
        kind: HypervisorKind = HypervisorKind.KVM,
        latency_s: float = 0.0,
    ) -> None:
        self._clock = clock
        self._hypervisor = Hypervisor(kind=kind, capacity=capacity, version="simulated 1")
        self._latency_s = latency_s
        self._machines: dict[str, _Machine] = {}
        self._events: asyncio.Queue[DomainEvent | None] | None = None
        self.starts: Counter[str] = Counter()  # how often each guest's machine was really started
        self.talking: set[str] = set()  # guests whose guest agent answers
        self.resumes: Counter[str] = Counter()  # how often each guest's machine went on
        self.pull_limits: set[int] = set()  # bytes a second that were asked for
        self.pauses: Counter[str] = Counter()  # how often each guest's machine was paused
        self.stops: Counter[str] = Counter()  # how often each guest's machine was really stopped
        self.pulls: Counter[str] = Counter()  # how often each guest's disk was to be made whole
        self.disk_fails: set[str] = set()  # guests whose disk fails each time
        self.deaf: set[str] = set()  # guests that ignore the power button

    async def probe(self) -> Hypervisor:
        """Return what the driver was made with."""
        return self._hypervisor

    async def domains(self) -> dict[str, DomainState]:
        """Return every machine."""
        return {
            guest_id: DomainState(
                machine.phase, instance=str(self.starts[guest_id]) if machine.phase.alive else ""
            )
            for guest_id, machine in self._machines.items()
        }

    async def usage(self) -> dict[str, DomainUsage]:
        """Return what every machine that lives would take, were it busy all the time: all that it was promised."""
        now = self._clock.monotonic()
        return {
            guest_id: DomainUsage(
                instance=str(self.starts[guest_id]),
                cpu_seconds=(now - machine.began) * machine.spec.cpu_millis / 1000,
                memory_bytes=machine.spec.memory_bytes,
            )
            for guest_id, machine in self._machines.items()
            if machine.phase.alive
        }

    async def define(self, spec: DomainSpec) -> None:
        """Remember the machine; its phase stays."""
        await self._take_time()
        known = self._machines.get(spec.guest_id)
        self._machines[spec.guest_id] = (
            replace(known, spec=spec) if known else _Machine(spec, DomainPhase.OFF)
        )

    async def start(self, guest_id: str) -> None:
        """Start a machine that is off."""
        await self._take_time()
        machine = self._machines.get(guest_id)
        if machine is None:
            raise DriverError(f"no machine is defined for the guest {guest_id}")
        if not machine.phase.alive:
            self.starts[guest_id] += 1
            self._machines[guest_id] = replace(machine, began=self._clock.monotonic())
        self._become(guest_id, DomainPhase.RUNNING)

    async def pause(self, guest_id: str) -> None:
        """Have a machine stand still."""
        await self._take_time()
        machine = self._machines.get(guest_id)
        if machine is None or not machine.phase.alive:
            raise DriverError(f"the machine of guest {guest_id} does not run")
        if machine.phase is DomainPhase.DISK_FAILED:
            raise DriverError("the machine's disk fails", reason=GuestReason.DISK_FAILED)
        self.pauses[guest_id] += 1
        self._become(guest_id, DomainPhase.PAUSED)

    async def resume(self, guest_id: str) -> None:
        """Let a paused machine go on; one that is off stays off."""
        await self._take_time()
        machine = self._machines.get(guest_id)
        if machine is None or not machine.phase.alive:
            return
        if guest_id in self.disk_fails:
            raise DriverError("the machine's disk still fails", reason=GuestReason.DISK_FAILED)
        self.resumes[guest_id] += 1
        self._become(guest_id, DomainPhase.RUNNING)

    async def pull(self, guest_id: str, *, bytes_per_s: int) -> None:
        """Count the wish."""
        await self._take_time()
        self.pull_limits.add(bytes_per_s)
        self.pulls[guest_id] += 1

    async def stop(self, guest_id: str, *, grace_s: float) -> None:
        """Stop a machine: at once, or after the grace where the guest ignores the power button."""
        await self._take_time()
        if guest_id in self.deaf:
            await self._clock.sleep(grace_s)
        machine = self._machines.get(guest_id)
        if machine is not None and machine.phase.alive:
            self.stops[guest_id] += 1
            deaf = guest_id in self.deaf or grace_s == 0
            # As libvirt does: a guest that obeys the power button has powered itself off.
            self._become(guest_id, DomainPhase.STOPPED if deaf else DomainPhase.COMPLETED)

    async def guest_agent_answers(self, guest_id: str, *, within_s: int) -> bool:  # noqa: ARG002 - as declared
        """Tell whether the guest is one that answers."""
        return guest_id in self.talking

    async def remove(self, guest_id: str) -> None:
        """Forget a machine."""
        await self._take_time()
        if self._machines.pop(guest_id, None) is not None:
            self._tell(guest_id)

    def events(self) -> AsyncIterator[DomainEvent]:
        """Yield events from now on; a later call takes over."""
        if self._events is not None:
            self._events.put_nowait(None)
        self._events = asyncio.Queue()
        return _drain(self._events)

    async def close(self) -> None:
        """End the events."""
        if self._events is not None:
            self._events.put_nowait(None)
            self._events = None

    def spec(self, guest_id: str) -> DomainSpec | None:
        """Return how a machine was defined."""
        machine = self._machines.get(guest_id)
        return None if machine is None else machine.spec

    def running(self) -> set[str]:
        """Return the guests whose machines live."""
        return {guest_id for guest_id, machine in self._machines.items() if machine.phase.alive}

    def power_off(self, guest_id: str) -> None:
        """Let a guest power itself off."""
        self._become(guest_id, DomainPhase.COMPLETED)

    def fail_disk(self, guest_id: str) -> None:
        """Pause a machine because its disk fails."""
        self._become(guest_id, DomainPhase.DISK_FAILED)

    def crash(self, guest_id: str) -> None:
        """Kill a machine's process."""
        self._become(guest_id, DomainPhase.CRASHED)

    def reboot(self) -> None:
        """Reboot the host: every machine is off, and how it ended is forgotten."""
        for guest_id in list(self._machines):
            self._become(guest_id, DomainPhase.OFF)

    def forget_ends(self) -> None:
        """Restart the hypervisor: machines run on, and how those that are off ended is forgotten."""
        for guest_id in self._machines.keys() - self.running():
            self._become(guest_id, DomainPhase.OFF)

    def _become(self, guest_id: str, phase: DomainPhase) -> None:
        self._machines[guest_id] = replace(self._machines[guest_id], phase=phase)
        self._tell(guest_id)

    def _tell(self, guest_id: str) -> None:
        if self._events is not None:
            self._events.put_nowait(DomainEvent(guest_id))

    async def _take_time(self) -> None:
        if self._latency_s > 0:
            await self._clock.sleep(self._latency_s)


async def _drain(events: asyncio.Queue[DomainEvent | None]) -> AsyncIterator[DomainEvent]:
    while (event := await events.get()) is not None:
        yield event
