"""Takes guests off their streams: once all of an image is here, the disk of each guest that runs on it becomes whole.

It holds nothing: what is to be done is seen from the served images, the guests and their disks, each time anew. A guest
that is off needs no more than that its stream ends: its disk is put onto the whole image when it starts. A few guests are
looked at at once, and one whose machine does not answer rests, longer each time: it holds up no other.
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
from innkeeper.errors import InnkeeperError
from innkeeper.kube.queue import LatestQueue

log = structlog.get_logger(__name__)

LOOK_S = 2.0  # while a disk is being made whole
LONGEST_REST_S = 60.0
_AT_ONCE = 4

Streaming = tuple[str, str]  # an image's name and a guest's ID


@dataclass(frozen=True)
class Pivot:
    """What is looked at, and who does the work. `queue` is empty, and nobody else's."""

    ledger: Ledger
    inventory: Inventory
    jobs: Jobs
    driver: Driver
    images: ImageStore
    paths: StatePaths
    queue: LatestQueue[Streaming]
    pull_bytes_per_s: int  # of each disk that is made whole; 0 is no limit
    wake: Callable[[str], None]
    on_held: Callable[[], None]  # other images lie here than before, or more of one
    held_back: set[Streaming] = field(default_factory=set)  # looked at now, or resting
    news: set[Streaming] = field(default_factory=set)  # of those that are held back

    async def run(self) -> None:
        """Look after all streams for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.images.follow(self._heard))
            await self.inventory.known.wait()
            self._want_all()
            for _ in range(_AT_ONCE):
                tasks.create_task(self._worker())

    def _heard(self) -> None:
        self.on_held()
        self._want_all()
        for streamed in self.images.streaming().values():
            for guest_id in streamed.guests:
                self.wake(guest_id)

    def _want_all(self) -> None:
        for name, streamed in self.images.streaming().items():
            for guest_id in streamed.guests:
                key = (name, guest_id)
                if key in self.held_back:
                    self.news.add(key)
                else:
                    self.queue.add(key)

    async def _worker(self) -> None:
        while True:
            key = await self.queue.take()
            self.held_back.add(key)
            self.news.discard(key)
            try:
                is_pending = await self._look(*key)
            except (InnkeeperError, OSError) as error:
                rests_s = self.queue.failed(key)
                log.warning("pivot_failed", guest=key[1], error=str(error), again_after_s=rests_s)
            else:
                self.held_back.discard(key)
                self.queue.done(key)
                if is_pending or key in self.news:
                    self.queue.add(key, after_s=LOOK_S)

    async def _look(self, name: str, guest_id: str) -> bool:
        """Do what is due for one guest; tell whether to look again soon."""
        streamed = self.images.streaming().get(name)
        if streamed is None or guest_id not in streamed.guests:
            return False
        guest = self.ledger.get(guest_id)
        if guest is None:
            await self.images.leave(name, guest_id)  # it was destroyed by an agent that was killed then
            return False
        if not streamed.is_whole or self.jobs.get(guest_id) is not None:
            return streamed.is_whole
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
