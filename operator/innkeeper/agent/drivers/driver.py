"""What the agent asks of a hypervisor.

A driver knows machines by Guest ID and nothing of orders, policies or the API server. Every call may be repeated:
what is done already is success. A call ends within a deadline of the driver's own and raises an `InnkeeperError`
whose reason and message a person can act on.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError


class DriverError(InnkeeperError):
    """The hypervisor failed, or does not answer; trying again may help."""

    reason = GuestReason.DRIVER_FAILED


class HypervisorAwayError(DriverError):
    """The hypervisor cannot be reached, or does not answer: a call may not have been carried out."""


class StartFailedError(DriverError):
    """The machine is defined and does not start."""

    reason = GuestReason.START_FAILED


class HypervisorKind(StrEnum):
    """How guests run."""

    KVM = "KVM"
    EMULATION = "Emulation"


class DomainPhase(StrEnum):
    """What a machine is doing, and how it ended where it does nothing."""

    RUNNING = "Running"
    PAUSED = "Paused"  # by a person
    DISK_FAILED = (
        "DiskFailed"  # paused: a read or a write of its disk failed, and is tried again when it goes on
    )
    OFF = "Off"  # not started since the host's boot, or the hypervisor does not know how it ended
    STOPPED = "Stopped"  # stopped from outside: by `stop`, or by a person at the host
    COMPLETED = "Completed"  # powered off by the guest itself
    CRASHED = "Crashed"  # its process died or its kernel panicked

    @property
    def alive(self) -> bool:
        """Whether a process of the machine exists: a second one must never be started."""
        return self in (DomainPhase.RUNNING, DomainPhase.PAUSED, DomainPhase.DISK_FAILED)


@dataclass(frozen=True)
class Capacity:
    """What the machine has, nothing subtracted."""

    cpu_millis: int
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class Hypervisor:
    """What the probe found. `kind` is KVM only after code really ran under it."""

    kind: HypervisorKind
    capacity: Capacity
    version: str


@dataclass(frozen=True)
class DomainInterface:
    """One network interface on an existing bridge. The host's device has a name that is known before it exists."""

    bridge: str
    mac: str
    device: str


@dataclass(frozen=True)
class DomainSpec:
    """One machine. The paths lie in the guest's own directory; the disk is a qcow2 overlay, the seed an ISO image."""

    guest_id: str
    cpu_millis: int
    memory_bytes: int
    disk: Path
    seed: Path
    interfaces: tuple[DomainInterface, ...]
    console_log: Path


@dataclass(frozen=True)
class DomainState:
    """One machine as the hypervisor has it."""

    phase: DomainPhase
    instance: str = ""  # another one each time that the machine is started; empty while it is off


@dataclass(frozen=True, kw_only=True)
class DomainUsage:
    """What one machine took of its host so far: processor time since this run of it began, and memory now."""

    instance: str  # as `DomainState` has it: the time counts from nothing in another one
    cpu_seconds: float
    memory_bytes: int  # of the host's memory that its process holds; 0 where the machine does not say


@dataclass(frozen=True)
class DomainEvent:
    """A machine's phase may have changed. Without a Guest ID: all may have (events were lost): ask `domains`."""

    guest_id: str | None


class Driver(Protocol):
    """A hypervisor."""

    @property
    def name(self) -> str:
        """What `HostAgent.status.driver` says: `libvirt`, `simulated`."""

    async def probe(self) -> Hypervisor:
        """Find out how guests run here and what the machine has; KVM is probed by running code, with a time-out."""

    async def domains(self) -> dict[str, DomainState]:
        """Return every machine of ours by Guest ID, those that are off included; other machines are left out."""

    async def usage(self) -> dict[str, DomainUsage]:
        """Return what every machine of ours that lives takes, by Guest ID, with one question for all of them.

        The answer is for people who wait: its deadline is short, and while the hypervisor owes several answers it is
        not asked again. A machine that stands still holds up no other's figures for long.

        Raises:
            DriverError: the hypervisor does not answer.
        """

    async def define(self, spec: DomainSpec) -> None:
        """Make the machine known without starting it; a definition that is there already is replaced."""

    async def start(self, guest_id: str) -> None:
        """Start a defined machine. One that lives is left alone (a paused one goes on).

        Raises:
            StartFailedError: it is defined and does not start.
            DriverError: it is not defined, or the hypervisor does not answer.
        """

    async def pause(self, guest_id: str) -> None:
        """Have a machine stand still, its memory kept; one that stands still by a person's hand is left alone.

        Raises:
            DriverError: it does not live, or stands still because its disk fails.
        """

    async def resume(self, guest_id: str) -> None:
        """Let a paused machine go on; one that runs, or is off, is left alone.

        Raises:
            DriverError: it is paused again at once, since its disk still fails.
        """

    async def pull(self, guest_id: str, *, bytes_per_s: int) -> None:
        """Begin to copy all that the machine's disk lies over into the disk; one that is copied already is left alone.

        It copies at most `bytes_per_s`, so that other guests can use the host's disk; 0 is no limit.
        """

    async def stop(self, guest_id: str, *, grace_s: float) -> None:
        """Ask the guest to power off; after `grace_s` take its power. Returns when it is off or was never there.

        A machine that a person paused goes on first, so that it hears the wish; without a grace it is not asked.
        Cancelled during the grace it ends at once, and the machine keeps its power; taking the power runs to its end.

        Raises:
            DriverError: the hypervisor does not answer. Where other machines keep it so busy that the guest was never
                asked, its power is not taken either.
        """

    async def guest_agent_answers(self, guest_id: str, *, within_s: int) -> bool:
        """Tell whether the QEMU guest agent in the guest answers a ping."""

    async def remove(self, guest_id: str) -> None:
        """Take the machine's power and forget its definition; files are not touched. Absence is success."""

    def events(self) -> AsyncIterator[DomainEvent]:
        """Yield events for ever, from the moment of the call on; one consumer. Ends when the driver is closed."""

    async def close(self) -> None:
        """Let go of the hypervisor; machines run on."""
