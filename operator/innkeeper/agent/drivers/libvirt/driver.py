"""The driver: what the agent asks for, in libvirt's terms.

It keeps no state of its own: what runs is asked of libvirt each time, by names that only Innkeeper gives. libvirt
remembers how a machine ended as long as it runs itself.
"""

import asyncio
import contextlib
import functools
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import libvirt
import structlog

from innkeeper.agent.drivers.driver import (
    Capacity,
    DomainEvent,
    DomainPhase,
    DomainSpec,
    DomainState,
    DomainUsage,
    DriverError,
    Hypervisor,
    HypervisorAwayError,
    HypervisorKind,
    StartFailedError,
)
from innkeeper.agent.drivers.libvirt import domain_xml as xml
from innkeeper.agent.drivers.libvirt.connection import DEADLINE_S, Connection
from innkeeper.agent.drivers.libvirt.guest_calls import GuestCalls, MachineSilentError, NotAskedError
from innkeeper.agent.drivers.libvirt.kvm_probe import kvm_runs_code
from innkeeper.agent.drivers.libvirt.usage import MOST_UNANSWERED, read_usage
from innkeeper.domain.reasons import GuestReason
from innkeeper.to_its_end import to_its_end

log = structlog.get_logger()

T = TypeVar("T")

_ENDED = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: DomainPhase.COMPLETED,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: DomainPhase.STOPPED,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: DomainPhase.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: DomainPhase.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: DomainPhase.CRASHED,
}
_ALIVE = {
    libvirt.VIR_DOMAIN_RUNNING: DomainPhase.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: DomainPhase.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: DomainPhase.RUNNING,  # still on its way out
    libvirt.VIR_DOMAIN_PAUSED: DomainPhase.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: DomainPhase.PAUSED,
}
_AGENT_SILENT = (
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
    libvirt.VIR_ERR_AGENT_UNSYNCED,
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,  # a machine that was started before it had the channel
)
PRESS_AGAIN_S = 5.0
RESUME_TRIES = 30
RESUME_LOOK_S = 0.15
RESUME_STEADY = 3  # looks in a row at which it runs
USAGE_DEADLINE_S = 3.0
START_DEADLINE_S = 180.0  # a libvirt that has not seen QEMU yet probes it first
PULL_DEADLINE_S = 10.0  # who pulls has other guests to pull for
# Calls at once. libvirt has 20 workers for all that it is asked, and five more that take the power of machines: those of
# the 20 that machines may hold up, and usage with them, must be fewer.
STARTS = 5
ASKS = 6
AGENT_ANSWERS_S = (
    50  # at most, however long a probe may wait: below the deadline, or its thread would outlast its caller
)
PULLS = 4  # of their own: work in the background must not keep the power button from anybody
ENDS = 8


class LibvirtDriver:
    """Machines of one libvirt. `disk_directory` is where their disks lie: its file system is the disk capacity."""

    name = "libvirt"

    def __init__(self, uri: str, *, disk_directory: Path, press_again_s: float = PRESS_AGAIN_S) -> None:
        self._disk_directory = disk_directory
        self._press_again_s = press_again_s
        self._kind: HypervisorKind | None = None
        self._listeners: set[asyncio.Queue[DomainEvent | None]] = set()
        self._changed: dict[str, asyncio.Event] = {}
        self._connection = Connection(uri, on_domain=self._domain_changed, on_connected=self._all_changed)
        self._starts = GuestCalls(uri, name="starts", threads=STARTS)
        self._asks = GuestCalls(uri, name="asks", threads=ASKS)
        self._pulls = GuestCalls(uri, name="pulls", threads=PULLS)
        self._ends = GuestCalls(uri, name="ends", threads=ENDS)
        self._usages = GuestCalls(uri, name="usage", threads=MOST_UNANSWERED)

    async def probe(self) -> Hypervisor:
        """Find out how guests run here and what the machine has."""
        kind = await self._hypervisor()

        def look(connection: Any) -> tuple[int, int, str]:
            info = connection.getInfo()
            version = connection.getVersion()
            return info[2], info[1] * 1024 * 1024, f"QEMU {version // 1000000}.{version // 1000 % 1000}"

        cpus, memory, version = await self._call(look)
        disk = await asyncio.to_thread(os.statvfs, self._disk_directory)
        capacity = Capacity(
            cpu_millis=cpus * 1000, memory_bytes=memory, disk_bytes=disk.f_blocks * disk.f_frsize
        )
        return Hypervisor(kind=kind, capacity=capacity, version=version)

    async def domains(self) -> dict[str, DomainState]:
        """Return every machine of ours."""

        def look(connection: Any) -> dict[str, DomainState]:
            found = {}
            for domain in connection.listAllDomains():
                guest_id = xml.guest_id_of(domain.name())
                if guest_id is not None:
                    found[guest_id] = DomainState(_phase(domain), _instance(domain))
            return found

        return await self._call(look)

    async def usage(self) -> dict[str, DomainUsage]:
        """Ask libvirt's bulk call; once more where a machine stands still and keeps the first from its answer."""
        try:
            return await self._ask_usage()
        except DriverError:
            return await self._ask_usage()

    async def _ask_usage(self) -> dict[str, DomainUsage]:
        if self._usages.unanswered >= MOST_UNANSWERED:
            raise DriverError("libvirt has not answered the last questions about usage yet")

        def read(connection: Any) -> dict[str, DomainUsage]:
            return read_usage(connection, instance_of=_instance)

        return await _answer(self._usages.call(read, about=object(), deadline_s=USAGE_DEADLINE_S))

    async def define(self, spec: DomainSpec) -> None:
        """Make the machine known; the same definition again changes nothing."""
        text = xml.domain_xml(spec, hypervisor=await self._hypervisor())
        await self._call(lambda connection: connection.defineXML(text))

    async def start(self, guest_id: str) -> None:
        """Start a defined machine, or let a paused one go on."""

        def begin(connection: Any) -> None:
            domain = connection.lookupByName(xml.domain_name(guest_id))
            state, _ = domain.state()
            if state == libvirt.VIR_DOMAIN_PAUSED:
                domain.resume()
            elif not domain.isActive():
                domain.create()

        try:
            await self._starts.call(begin, about=guest_id, deadline_s=START_DEADLINE_S)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                raise DriverError(f"the machine of guest {guest_id} is not defined") from error
            raise StartFailedError(f"the machine does not start: {_words(error)}") from error

    async def pause(self, guest_id: str) -> None:
        """Stop the machine's processors."""
        await self._ask(guest_id, lambda connection: _pause(connection, guest_id))

    async def resume(self, guest_id: str) -> None:
        """Let a paused machine go on, and look whether it does: what failed is tried again bit by bit."""
        steady = 0
        for _ in range(RESUME_TRIES):
            goes_on = await self._ask(guest_id, lambda connection: _go_on(connection, guest_id))
            steady = steady + 1 if goes_on else 0
            if steady == RESUME_STEADY:
                return
            await asyncio.sleep(RESUME_LOOK_S)
        raise DriverError("the machine's disk fails again and again", reason=GuestReason.DISK_FAILED)

    async def pull(self, guest_id: str, *, bytes_per_s: int) -> None:
        """Begin a block job that ends by itself, also where nobody waits for it."""

        def begin(connection: Any) -> None:
            domain = _find(connection, guest_id)
            if domain is not None and domain.isActive() and not domain.blockJobInfo(xml.DISK):
                domain.blockPull(xml.DISK, bytes_per_s, libvirt.VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES)

        await _answer(self._pulls.call(begin, about=guest_id, deadline_s=PULL_DEADLINE_S))

    async def stop(self, guest_id: str, *, grace_s: float) -> None:
        """Ask the guest to power off; after the grace take its power."""
        if grace_s > 0:
            await self._ask_within(guest_id, grace_s)
        await to_its_end(self._end(guest_id, lambda connection: _take_power(connection, guest_id)))

    async def _ask_within(self, guest_id: str, grace_s: float) -> None:
        """Wait for a guest's end as long as its grace.

        Raises:
            HypervisorAwayError: the guest was never asked, so it had no grace yet.
        """
        asked = threading.Event()
        changed = self._changed.setdefault(guest_id, asyncio.Event())
        try:
            async with asyncio.timeout(grace_s):
                await self._ask_until_off(guest_id, changed, asked)
        except TimeoutError as error:
            # A machine that leaves an earlier call unanswered cannot be asked; no other keeps a guest from its grace.
            if not asked.is_set() and not self._asks.is_silent(guest_id):
                message = f"libvirt owes answers about others: the guest was not asked in its {grace_s:.0f} s"
                raise HypervisorAwayError(message) from error
            log.info("grace_over", guest=guest_id, seconds=grace_s)
        finally:
            self._changed.pop(guest_id, None)

    async def _ask_until_off(self, guest_id: str, changed: asyncio.Event, asked: threading.Event) -> None:
        """Press the power button, and again from time to time: a guest that still boots does not see the first."""

        def press(connection: Any) -> bool:
            asked.set()
            return _press_power_button(connection, guest_id)

        while True:
            # Cleared before each look: an end between look and wait is not missed.
            changed.clear()
            try:
                if not await self._ask(guest_id, press):
                    return
            except MachineSilentError:
                pass  # its power is taken when the grace is over
            except NotAskedError:
                if not asked.is_set():
                    raise
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._press_again_s):
                    await changed.wait()

    async def remove(self, guest_id: str) -> None:
        """Take the machine's power and forget its definition."""

        def end(connection: Any) -> None:
            _take_power(connection, guest_id)
            domain = _find(connection, guest_id)
            if domain is not None:
                domain.undefineFlags(
                    libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
                )

        await self._end(guest_id, end)

    async def guest_agent_answers(self, guest_id: str, *, within_s: int) -> bool:
        """Ask for the guest's time, which every guest agent can tell."""

        def ask(connection: Any) -> bool:
            domain = _find(connection, guest_id)
            if domain is None or not domain.isActive():
                return False
            try:
                domain.agentSetResponseTimeout(min(within_s, AGENT_ANSWERS_S))
                domain.getTime()
            except libvirt.libvirtError as error:
                if error.get_error_code() in _AGENT_SILENT:
                    return False
                raise
            return True

        # libvirt itself sets the guest agent a limit, so this holds up nothing else about the guest.
        return await _answer(self._asks.call(ask, about=object()))

    def events(self) -> AsyncIterator[DomainEvent]:
        """Yield events from now on."""
        queue: asyncio.Queue[DomainEvent | None] = asyncio.Queue()
        self._listeners.add(queue)
        return self._drain(queue)

    async def close(self) -> None:
        """Let go of libvirt; machines run on."""
        for queue in self._listeners:
            queue.put_nowait(None)
        for calls in (self._starts, self._asks, self._pulls, self._ends, self._usages):
            calls.close()
        await self._connection.close()

    async def _drain(self, queue: "asyncio.Queue[DomainEvent | None]") -> AsyncIterator[DomainEvent]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._listeners.discard(queue)

    def _domain_changed(self, name: str) -> None:
        guest_id = xml.guest_id_of(name)
        if guest_id is None:
            return
        if (waiting := self._changed.get(guest_id)) is not None:
            waiting.set()
        for queue in self._listeners:
            queue.put_nowait(DomainEvent(guest_id))

    def _all_changed(self) -> None:
        """A new connection: events of the time before are lost."""
        for waiting in self._changed.values():
            waiting.set()
        for queue in self._listeners:
            queue.put_nowait(DomainEvent(None))

    async def _hypervisor(self) -> HypervisorKind:
        if self._kind is None:
            runs = await kvm_runs_code()
            self._kind = HypervisorKind.KVM if runs else HypervisorKind.EMULATION
        return self._kind

    async def _call(self, work: Callable[[Any], T]) -> T:
        """Have libvirt do what no machine can hold up."""
        return await _answer(self._connection.call(work))

    async def _ask(self, guest_id: str, work: Callable[[Any], T], *, deadline_s: float = DEADLINE_S) -> T:
        """Ask something of a machine, which may not answer."""
        return await _answer(self._asks.call(work, about=guest_id, deadline_s=deadline_s))

    async def _end(self, guest_id: str, work: Callable[[Any], T]) -> T:
        """Take a machine's power: this alone frees a thread that waits for its answer."""
        return await _answer(self._ends.call(work, about=guest_id))


async def _answer(call: Awaitable[T]) -> T:
    try:
        return await call
    except libvirt.libvirtError as error:
        raise DriverError(f"libvirt: {_words(error)}") from error


def _go_on(connection: Any, guest_id: str) -> bool:
    """Tell whether a machine runs, or is none of ours to let go on; where it is paused, let it go on."""
    domain = _find(connection, guest_id)
    if domain is None or domain.state()[0] != libvirt.VIR_DOMAIN_PAUSED:
        return True
    domain.resume()
    return False


def _phase(domain: Any) -> DomainPhase:
    state, reason = domain.state()
    if (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR):
        return DomainPhase.DISK_FAILED
    if state in _ALIVE:
        return _ALIVE[state]
    if state == libvirt.VIR_DOMAIN_CRASHED:
        return DomainPhase.CRASHED
    return _ENDED.get(reason, DomainPhase.OFF)


def _instance(domain: Any) -> str:
    """Return what tells this run of a machine from any other: libvirt counts runs, anew after each boot of the host."""
    number = domain.ID()
    return f"{_boot_id()}/{number}" if number >= 0 else ""


@functools.cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _pause(connection: Any, guest_id: str) -> None:
    domain = _find(connection, guest_id)
    if domain is None or not domain.isActive():
        raise DriverError(f"the machine of guest {guest_id} does not run")
    if _phase(domain) is DomainPhase.DISK_FAILED:
        raise DriverError("the machine's disk fails", reason=GuestReason.DISK_FAILED)
    domain.suspend()


def _find(connection: Any, guest_id: str) -> Any:
    try:
        return connection.lookupByName(xml.domain_name(guest_id))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _press_power_button(connection: Any, guest_id: str) -> bool:
    """Press it; False when there is nothing to wait for: the machine is off, or paused and cannot react."""
    domain = _find(connection, guest_id)
    if domain is None or not domain.isActive():
        return False
    if domain.state() == [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER]:
        domain.resume()  # one that stands still hears nothing
    try:
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError as error:
        log.debug("shutdown_refused", guest=guest_id, error=_words(error))
        return bool(domain.isActive()) and domain.state()[0] != libvirt.VIR_DOMAIN_PAUSED
    return True


def _take_power(connection: Any, guest_id: str) -> None:
    domain = _find(connection, guest_id)
    if domain is None or not domain.isActive():
        return
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
            raise


def _words(error: libvirt.libvirtError) -> str:
    return (error.get_error_message() or str(error)).splitlines()[0][:300]
