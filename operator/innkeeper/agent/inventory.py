"""What the hypervisor is and the machines as it has them, kept true by its events: nothing is polled.

It only looks; a machine that no record knows is left alone. A hypervisor that is away is waited for without end, and
nobody has to wait beside it: who decides about guests looks at what is known, and is told when more is.
"""

import asyncio
from collections.abc import Callable

import structlog

from innkeeper.agent.drivers.driver import DomainPhase, Driver, Hypervisor
from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError

SILENT_S = 15.0  # a hypervisor that owes its first answer for so long is told to be away
_LONGEST_PAUSE_S = 30.0


class Inventory:
    """Phases by Guest ID. `known` is set when they were read once; `trouble` says why they cannot be read now.

    `tried` is set once either is so. `on_read` is called when the hypervisor was read first, and again when its machines
    were.
    """

    def __init__(
        self,
        driver: Driver,
        clock: Clock,
        *,
        on_phase: Callable[[str], None],
        on_trouble: Callable[[], None],
        on_read: Callable[[], None] = lambda: None,
    ) -> None:
        self._driver = driver
        self._clock = clock
        self._on_phase = on_phase
        self._on_trouble = on_trouble
        self._on_read = on_read
        self._reading = asyncio.Lock()
        self._stale = asyncio.Event()
        self._log = structlog.get_logger(__name__)
        self.hypervisor: Hypervisor | None = None
        self.phases: dict[str, DomainPhase] = {}
        self.known = asyncio.Event()
        self.tried = asyncio.Event()
        self.trouble: str | None = None

    async def refresh(self) -> None:
        """Read all machines again and tell of those that changed. Trouble is noted, and mended by `run`."""
        async with self._reading:
            try:
                if self.hypervisor is None:
                    self.hypervisor = await self._driver.probe()
                    self._log.info("hypervisor_read", kind=str(self.hypervisor.kind))
                    self._on_read()
                states = await self._driver.domains()
            except InnkeeperError as error:
                self._log.warning("domains_unread", reason=error.reason, message=error.message)
                self._note(error.message)
                self._stale.set()
                return
            before, self.phases = self.phases, {name: state.phase for name, state in states.items()}
            is_first = not self.known.is_set()
            self.known.set()
            self._note(None)
        if is_first:
            self._on_read()
        for guest_id in before.keys() | self.phases.keys():
            if before.get(guest_id) != self.phases.get(guest_id):
                self._on_phase(guest_id)

    async def run(self) -> None:
        """Follow the hypervisor for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._follow())
            tasks.create_task(self._hurry())

    async def _hurry(self) -> None:
        """Tell of a first answer that is long in coming: a question ends at its own deadline only."""
        await self._clock.sleep(SILENT_S)
        if not self.known.is_set() and self.trouble is None:
            self._note(f"the hypervisor has not answered for {SILENT_S:.0f} s")

    def _note(self, trouble: str | None) -> None:
        self.tried.set()
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
