"""Takes guests off their streams: once all of an image is here, the disk of each guest that runs on it becomes whole.

It holds nothing: what is to be done is seen from the served images, the guests and their disks, each time anew. A guest
that is off needs no more than that its stream ends: its disk is put onto the whole image when it starts.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from innkeeper.agent.build.ports import ImageStore
from innkeeper.agent.drivers.driver import DomainPhase, Driver
from innkeeper.agent.inventory import Inventory
from innkeeper.agent.jobs import Jobs
from innkeeper.agent.ledger import Ledger
from innkeeper.agent.paths import StatePaths
from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError

log = structlog.get_logger(__name__)

LOOK_S = 2.0  # while a disk is being made whole


@dataclass(frozen=True)
class Pivot:
    """What is looked at, and who does the work."""

    ledger: Ledger
    inventory: Inventory
    jobs: Jobs
    driver: Driver
    images: ImageStore
    paths: StatePaths
    clock: Clock
    pull_bytes_per_s: int  # of each disk that is made whole; 0 is no limit
    wake: Callable[[str], None]
    on_held: Callable[[], None]  # other images lie here than before, or more of one
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Look after all streams for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.images.follow(self._heard))
            tasks.create_task(self._look_after())

    def _heard(self) -> None:
        self.news.set()
        self.on_held()
        for streamed in self.images.streaming().values():
            for guest_id in streamed.guests:
                self.wake(guest_id)

    async def _look_after(self) -> None:
        await self.inventory.known.wait()
        while True:
            pending = False
            for name, streamed in list(self.images.streaming().items()):
                for guest_id in streamed.guests:
                    try:
                        pending |= await self._look(name, guest_id, is_whole=streamed.is_whole)
                    except (InnkeeperError, OSError) as error:
                        log.warning("pivot_failed", guest=guest_id, error=str(error))
                        pending = True
            await self._pause(pending=pending)

    async def _look(self, name: str, guest_id: str, *, is_whole: bool) -> bool:
        """Do what is due for one guest; tell whether to look again soon."""
        guest = self.ledger.get(guest_id)
        if guest is None:
            await self.images.leave(name, guest_id)  # it was destroyed by an agent that was killed then
            return False
        if not is_whole or self.jobs.get(guest_id) is not None:
            return is_whole
        disk = self.paths.guest(guest_id).disk
        phase = self.inventory.phases.get(guest_id)
        if not await asyncio.to_thread(disk.exists):
            return True  # its build has not come so far
        if not await self.images.is_on_stream(disk) or (phase is not None and not phase.alive):
            await self.images.leave(name, guest_id)
            log.info("guest_local", guest=guest_id)
            self.wake(guest_id)
            return False
        if phase is DomainPhase.RUNNING:
            await self.driver.pull(guest_id, bytes_per_s=self.pull_bytes_per_s)
        return True

    async def _pause(self, *, pending: bool) -> None:
        if pending:
            await self.clock.sleep(LOOK_S)
            return
        await self.news.wait()
        self.news.clear()
