"""How much processor and memory guests take now: from two readings of the driver, made when somebody asks.

Nobody asks, nothing is read. Who asks while others wait gets the same answer. It is reported to the operator itself and
never goes through the API server.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from innkeeper.agent.drivers.driver import DomainUsage, Driver
from innkeeper.clock import Clock, rfc3339
from innkeeper.domain.host_usage import GuestUsage, HostUsage

FRESH_S = 5.0  # an answer so old is given again
LONGEST_WINDOW_S = 60.0  # an older reading says little about now
SHORTEST_WINDOW_S = 1.0


@dataclass(frozen=True)
class _Reading:
    at: float  # on the monotonic clock
    machines: Mapping[str, DomainUsage]


class UsageMeter:
    """Reads the usage of one host's guests."""

    def __init__(self, host: str, driver: Driver, clock: Clock) -> None:
        self._host = host
        self._driver = driver
        self._clock = clock
        self._asking = asyncio.Lock()
        self._last: _Reading | None = None
        self._answer: HostUsage | None = None

    async def read(self) -> HostUsage:
        """Return the usage of all guests whose machines live, at most some seconds old.

        Raises:
            DriverError: the hypervisor does not answer.
        """
        async with self._asking:
            age_s = self._clock.monotonic() - self._last.at if self._last is not None else None
            if self._answer is not None and age_s is not None and age_s < FRESH_S:
                return self._answer
            first = self._last
            if first is None or age_s is None or age_s > LONGEST_WINDOW_S:
                first = await self._reading()
                await self._clock.sleep(SHORTEST_WINDOW_S)
            self._last = await self._reading()
            self._answer = self._told(first, self._last)
            return self._answer

    async def _reading(self) -> _Reading:
        machines = await self._driver.usage()
        return _Reading(self._clock.monotonic(), machines)

    def _told(self, first: _Reading, second: _Reading) -> HostUsage:
        window_s = max(second.at - first.at, 0.001)
        return HostUsage(
            host=self._host,
            at=rfc3339(self._clock.now()),
            window_s=round(window_s, 3),
            guests=[
                _of_guest(guest_id, first.machines.get(guest_id), machine, window_s=window_s)
                for guest_id, machine in second.machines.items()
            ],
        )


def _of_guest(guest_id: str, before: DomainUsage | None, now: DomainUsage, *, window_s: float) -> GuestUsage:
    """Return what one guest takes. A machine that was too busy to say its memory has that of the first reading."""
    memory = now.memory_bytes or (before.memory_bytes if before is not None else 0)
    return GuestUsage(
        guest_id=guest_id, cpu_millis=round(1000 * _took(before, now) / window_s), memory_bytes=memory
    )


def _took(before: DomainUsage | None, now: DomainUsage) -> float:
    """Return the processor time between two readings; a machine that was started in between began from nothing."""
    began = before.cpu_seconds if before is not None and before.instance == now.instance else 0.0
    return max(0.0, now.cpu_seconds - began)
