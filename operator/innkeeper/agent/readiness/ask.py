"""Asks one guest one question: an ICMP echo, a TCP connection, its guest agent. Each ends within its time-out.

It goes by the host's own routes, so the host needs a way to the guest's network; the guest agent needs none.
"""

import asyncio
import errno
import os
from typing import Protocol

from innkeeper.agent.drivers.driver import Driver
from innkeeper.agent.readiness import echo
from innkeeper.clock import Clock
from innkeeper.domain.orders import Order, Rank
from innkeeper.errors import InnkeeperError
from innkeeper.views.guest import ReadinessProbe

_GUEST_AGENTS_AT_ONCE = 2
_HUNG_AT_ONCE = 1  # of those, so that one place is always for guest agents that answer
_QUICK_S, _HANGS_S = 1, 0.5
_REMEMBERED_S = 600.0  # so that what is kept has a bound

_Which = tuple[str, Rank]  # a Guest ID and its order: who was stopped and started is known anew


class Asker(Protocol):
    """Asks a guest what its probe says."""

    async def ask(self, order: Order, probe: ReadinessProbe) -> str | None:
        """Return None where the guest answers, else why it does not."""


class HostAsker:
    """Asks from this host."""

    def __init__(self, driver: Driver, clock: Clock) -> None:
        self._driver = driver
        self._clock = clock
        # A guest agent that hangs holds one of the hypervisor's threads for the time-out: others need them, too.
        self._guest_agents = asyncio.Semaphore(_GUEST_AGENTS_AT_ONCE)
        self._those_that_hang = asyncio.Semaphore(_HUNG_AT_ONCE)
        self._hung: dict[_Which, float] = {}  # when they last did

    async def ask(self, order: Order, probe: ReadinessProbe) -> str | None:
        """Ask once."""
        within_s = probe.timeout_seconds
        address = order.addresses[0].address
        if probe.guest_agent is not None:
            return await self._guest_agent(order, within_s)
        try:
            async with asyncio.timeout(within_s):
                if probe.tcp is not None:
                    await _connect(address, probe.tcp.port)
                else:
                    await echo.ping(address, token=os.urandom(16))
        except TimeoutError:
            return f"no answer within {within_s} s"
        except OSError as error:
            return os.strerror(error.errno) if error.errno else str(error)
        return None

    async def _guest_agent(self, order: Order, within_s: int) -> str | None:
        try:
            answers = await self._answers_in_turn(order, within_s)
        except InnkeeperError as error:
            return error.message
        return None if answers else "no answer; does qemu-guest-agent run in the guest?"

    async def _answers_in_turn(self, order: Order, within_s: int) -> bool:
        """Ask for a moment, then for as long as it may take: one that hangs waits for the others that do."""
        which = (order.guest_id, order.rank)
        if which not in self._hung:
            quick_s = min(within_s, _QUICK_S)
            if await self._answers(which, quick_s):
                return True
            if which not in self._hung or within_s == quick_s:
                return False
        async with self._those_that_hang:
            return await self._answers(which, within_s)

    async def _answers(self, which: _Which, within_s: int) -> bool:
        async with self._guest_agents:
            began = self._clock.monotonic()
            answers = await self._driver.guest_agent_answers(which[0], within_s=within_s)
            now = self._clock.monotonic()
        self._hung.pop(which, None)
        # Of one that is not connected, as in a guest that starts, the hypervisor says so at once.
        if not answers and now - began >= _HANGS_S:
            self._hung = {each: at for each, at in self._hung.items() if at > now - _REMEMBERED_S}
            self._hung[which] = now
        return answers


def describe(order: Order, probe: ReadinessProbe) -> str:
    """Return what a guest is asked, in words."""
    address = order.addresses[0].address
    if probe.tcp is not None:
        return f"tcp at {address} port {probe.tcp.port}"
    return f"ping at {address}" if probe.ping is not None else "its guest agent"


async def _connect(address: str, port: int) -> None:
    _, writer = await asyncio.open_connection(address, port)
    writer.close()
    try:
        await writer.wait_closed()
    except OSError as error:
        # It took the connection, which is all that was asked.
        if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
            raise
