"""Asks one guest one question: an ICMP echo, a TCP connection, its guest agent. Each ends within its time-out.

It goes by the host's own routes, so the host needs a way to the guest's network; the guest agent needs none.
"""

import asyncio
import errno
import os
from typing import Protocol

from innkeeper.agent.drivers.driver import Driver
from innkeeper.agent.readiness import echo
from innkeeper.domain.orders import Order
from innkeeper.errors import InnkeeperError
from innkeeper.views.guest import ReadinessProbe

_GUEST_AGENTS_AT_ONCE = 2


class Asker(Protocol):
    """Asks a guest what its probe says."""

    async def ask(self, order: Order, probe: ReadinessProbe) -> str | None:
        """Return None where the guest answers, else why it does not."""


class HostAsker:
    """Asks from this host."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        # A guest agent that hangs holds one of the hypervisor's threads for the time-out: others need them, too.
        self._guest_agents = asyncio.Semaphore(_GUEST_AGENTS_AT_ONCE)

    async def ask(self, order: Order, probe: ReadinessProbe) -> str | None:
        """Ask once."""
        within_s = probe.timeout_seconds
        address = order.addresses[0].address
        if probe.guest_agent is not None:
            return await self._guest_agent(order.guest_id, within_s)
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

    async def _guest_agent(self, guest_id: str, within_s: int) -> str | None:
        try:
            async with self._guest_agents:
                answers = await self._driver.guest_agent_answers(guest_id, within_s=within_s)
        except InnkeeperError as error:
            return error.message
        return None if answers else "no answer; does qemu-guest-agent run in the guest?"


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
