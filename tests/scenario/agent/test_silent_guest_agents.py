"""Guest agents that hang hold up their own probes: whose guest agent answers is Ready in time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from innkeeper.agent.readiness.ask import HostAsker
from innkeeper.agent.readiness.prober import Prober
from innkeeper.domain.orders import Order
from innkeeper.views.guest import ReadinessProbe
from innkeeper.views.meta import View
from tests.kit.agent_orders import guest_id, order
from tests.kit.virtual_loop import SteppedClock, VirtualLoop

GUEST, HUNG = guest_id(1), [guest_id(number) for number in range(2, 22)]


class Hypervisor:
    """Guest agents: one answers at once or after its time, is not there, or hangs for as long as it is waited for."""

    def __init__(self) -> None:
        self.hung: set[str] = set(HUNG)
        self.absent: set[str] = set()
        self.takes_s: dict[str, float] = {}
        self.waited_for = self.most = 0

    async def guest_agent_answers(self, guest_id: str, *, within_s: int) -> bool:
        """Answer as that guest's agent does."""
        takes_s = within_s if guest_id in self.hung else self.takes_s.get(guest_id, 0.0)
        self.waited_for += 1
        self.most = max(self.most, self.waited_for)
        try:
            await SteppedClock().sleep(min(takes_s, within_s))
        finally:
            self.waited_for -= 1
        return guest_id not in self.absent and guest_id not in self.hung and takes_s < within_s


def probed(number: int, timeout_s: int) -> Order:
    """Return the order of a guest whose guest agent is asked."""
    probe = ReadinessProbe(guest_agent=View(), period_seconds=10, timeout_seconds=timeout_s)
    return order(number, spec={"readiness_probe": probe})


class Host:
    """A host whose prober asks all guests."""

    def __init__(self, *, timeout_s: int) -> None:
        self.hypervisor, self.clock = Hypervisor(), SteppedClock()
        self._orders = [probed(number, timeout_s) for number in range(1, len(HUNG) + 2)]
        self._changed = asyncio.Event()
        asker = HostAsker(self.hypervisor, self.clock)  # type: ignore[arg-type] # all that a probe asks of a driver
        self._prober = Prober(asker, self.clock, on_change=lambda _: self._changed.set())

    def look(self, *, was_ready: bool = False) -> None:
        """Look at all guests, those that hang first."""
        for each in reversed(self._orders):
            self._prober.verdict(each, was_ready=was_ready)

    async def until(self, guest: str, *, is_ready: bool) -> float:
        """Return the seconds until a guest is Ready, or not."""
        began = self.clock.monotonic()
        (wanted,) = [each for each in self._orders if each.guest_id == guest]
        while self._prober.verdict(wanted, was_ready=False).status != is_ready:
            await self._changed.wait()
            self._changed.clear()
        return self.clock.monotonic() - began

    async def close(self) -> None:
        """Ask no more."""
        await self._prober.close()


def in_virtual_time(story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story)


@pytest.mark.parametrize("timeout_s", [1, 5, 50])
def test_a_guest_that_starts_beside_many_that_hang_is_ready_in_time(timeout_s: int) -> None:
    """Also while nobody knows yet which hang, as after the agent's own start."""

    async def story() -> None:
        host = Host(timeout_s=timeout_s)
        host.look()
        assert await host.until(GUEST, is_ready=True) <= 12
        host.hypervisor.absent.add(GUEST)
        await host.until(GUEST, is_ready=False)
        host.hypervisor.absent.clear()
        assert await host.until(GUEST, is_ready=True) <= 3, "asked every two seconds, held up by nobody"
        assert host.hypervisor.most == 2, "others need the hypervisor, too"
        await host.close()

    in_virtual_time(story())


def test_one_that_answers_late_within_its_time_is_ready() -> None:
    async def story() -> None:
        host = Host(timeout_s=5)
        host.hypervisor.hung.clear()
        host.hypervisor.takes_s[GUEST] = 4
        host.look()
        assert await host.until(GUEST, is_ready=True) <= 10
        await host.close()

    in_virtual_time(story())


def test_one_that_hung_and_answers_again_is_ready_after_its_turn() -> None:
    async def story() -> None:
        host = Host(timeout_s=5)
        host.look()
        await host.clock.sleep(300)
        host.hypervisor.hung.discard(HUNG[0])
        assert await host.until(HUNG[0], is_ready=True) <= 5 * len(HUNG) + 2
        await host.close()

    in_virtual_time(story())


def test_guests_whose_agent_is_not_there_wait_for_nobody() -> None:
    """The hypervisor says so at once; they are Ready as soon as it came."""

    async def story() -> None:
        host = Host(timeout_s=5)
        host.hypervisor.absent.add(GUEST)
        host.look()
        await host.clock.sleep(300)
        host.hypervisor.absent.clear()
        assert await host.until(GUEST, is_ready=True) <= 3
        await host.close()

    in_virtual_time(story())
