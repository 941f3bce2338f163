"""The machines as the hypervisor has them, kept true by its events: nothing is polled.

It only looks; a machine that no record knows is left alone.
"""

import asyncio
from collections.abc import Callable

import structlog

from innkeeper.agent.drivers.driver import DomainPhase, Driver
from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError

_LONGEST_PAUSE_S = 30.0


class Inventory:
    """Phases by Guest ID. `known` is set when they were read once; `trouble` says why they cannot be read now."""

    def __init__(
        self,
        driver: Driver,
        clock: Clock,
        *,
        on_phase: Callable[[str], None],
        on_trouble: Callable[[], None],
    ) -> None:
        self._driver = driver
        self._clock = clock
        self._on_phase = on_phase
        self._on_trouble = on_trouble
        self._reading = asyncio.Lock()
        self._stale = asyncio.Event()
        self._log = structlog.get_logger(__name__)
        self.phases: dict[str, DomainPhase] = {}
        self.known = asyncio.Event()
        self.trouble: str | None = None

    async def refresh(self) -> None:
        """Read all machines again and tell of those that changed. Trouble is noted, and mended by `run`."""
        async with self._reading:
            try:
                states = await self._driver.domains()
            except InnkeeperError as error:
                self._log.warning("domains_unread", reason=error.reason, message=error.message)
                self._note(error.message)
                self._stale.set()
                return
            before, self.phases = self.phases, {name: state.phase for name, state in states.items()}
            self._note(None)
            self.known.set()
        for guest_id in before.keys() | self.phases.keys():
            if before.get(guest_id) != self.phases.get(guest_id):
                self._on_phase(guest_id)

    async def run(self) -> None:
        """Follow the hypervisor for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._follow())

    def _note(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._on_trouble()

    async def _listen(self) -> None:
        pause = 1.0
        while True:
            events = self._driver.events()
            self._stale.set()  # what happened before the subscription is read once
            try:
                async for _ in events:
                    self._stale.set()
                    pause = 1.0
            except InnkeeperError as error:
                self._log.warning("driver_events_lost", reason=error.reason, message=error.message)
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _follow(self) -> None:
        pause = 1.0
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self.refresh()
            if self.trouble is None:
                pause = 1.0
            else:
                await self._clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
