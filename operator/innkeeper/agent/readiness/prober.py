"""Asks running guests again and again, and says when one became ready or ceased to be.

It keeps the last verdict of each guest in memory; what a guest was before the agent's restart, its record tells.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from innkeeper.agent.plan import NOT_YET, RUNNING
from innkeeper.agent.readiness.ask import Asker, describe
from innkeeper.agent.store.records import Ready
from innkeeper.clock import Clock
from innkeeper.domain.orders import Order
from innkeeper.domain.reasons import GuestReason
from innkeeper.views.guest import ReadinessProbe

log = structlog.get_logger()

_EAGER_S = 2.0  # a guest that is awaited is asked at least this often


@dataclass
class _Watch:
    """One guest that is asked."""

    order: Order
    probe: ReadinessProbe
    ready: Ready
    task: asyncio.Task[None] | None = None


class Prober:
    """The guests that are asked. `on_change` is called with the Guest ID when a verdict changed."""

    def __init__(self, asker: Asker, clock: Clock, *, on_change: Callable[[str], None]) -> None:
        self._asker = asker
        self._clock = clock
        self._on_change = on_change
        self._watches: dict[str, _Watch] = {}

    def verdict(self, order: Order, *, was_ready: bool) -> Ready:
        """Return how a running guest stands, and have it asked from now on."""
        probe = order.spec.readiness_probe
        watch = self._watches.get(order.guest_id)
        if probe is None:
            self.forget(order.guest_id)
            return RUNNING
        if watch is None or watch.probe != probe:
            known = watch.ready if watch is not None else (RUNNING if was_ready else NOT_YET)
            self.forget(order.guest_id)
            watch = self._watches[order.guest_id] = _Watch(order, probe, known)
            delay_s = 0 if known.status else probe.initial_delay_seconds
            watch.task = asyncio.create_task(self._ask(watch, delay_s), name=f"probe {order.guest_id}")
        return watch.ready

    def forget(self, guest_id: str) -> None:
        """Ask a guest no more."""
        watch = self._watches.pop(guest_id, None)
        if watch is not None and watch.task is not None:
            watch.task.cancel()

    async def close(self) -> None:
        """Ask nobody any more."""
        for guest_id in list(self._watches):
            self.forget(guest_id)

    async def _ask(self, watch: _Watch, delay_s: float) -> None:
        probe, in_a_row = watch.probe, 0
        await self._clock.sleep(delay_s)
        while True:
            why_not = await self._answer(watch)
            in_a_row = in_a_row + 1 if (why_not is None) != watch.ready.status else 0
            needed = probe.failure_threshold if watch.ready.status else probe.success_threshold
            if in_a_row >= needed:
                in_a_row = 0
                self._say(watch, _ready(watch, why_not))
            elif why_not is not None and not watch.ready.status:
                self._say(watch, _ready(watch, why_not))
            period_s = float(probe.period_seconds)
            await self._clock.sleep(period_s if watch.ready.status else min(period_s, _EAGER_S))

    async def _answer(self, watch: _Watch) -> str | None:
        try:
            return await self._asker.ask(watch.order, watch.probe)
        except Exception:
            log.exception("probe_broke", guest=watch.order.guest_id)
            return "the agent could not ask; its log says why"

    def _say(self, watch: _Watch, ready: Ready) -> None:
        if ready != watch.ready:
            watch.ready = ready
            self._on_change(watch.order.guest_id)


def _ready(watch: _Watch, why_not: str | None) -> Ready:
    if why_not is None:
        return RUNNING
    message = f"the guest does not answer {describe(watch.order, watch.probe)}: {why_not}"
    return Ready(status=False, reason=GuestReason.NOT_ANSWERING, message=message)
