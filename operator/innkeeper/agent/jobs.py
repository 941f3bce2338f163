"""Work on guests that takes time: never more than one job for one guest.

A job that is cancelled has ended before the next one starts, so two never touch the same machine. Nobody waits for that
end: it is told, as any other.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial

from innkeeper.agent.plan import JobKind
from innkeeper.domain.reasons import Desired


@dataclass(frozen=True)
class Job:
    """A job that runs: what it does and which wish it serves."""

    kind: JobKind
    desired: str
    task: asyncio.Task[None]

    def serves(self, desired: str) -> bool:
        """Tell whether the job is to go on where this is wanted now.

        A stop goes on whatever else is wanted of the guest, unless it is to be destroyed: the guest heard already that it
        is to power off.
        """
        return desired == self.desired or (self.kind is JobKind.STOP and desired != Desired.DESTROYED)


class Jobs:
    """The jobs of all guests. `on_end` is called with the Guest ID whenever one has ended, cancelled or not."""

    def __init__(self, *, on_end: Callable[[str], None]) -> None:
        self._on_end = on_end
        self._running: dict[str, Job] = {}
        # Who was told to end. A task's own count of cancellations also rises while a deadline inside it passes.
        self._told: set[str] = set()

    def get(self, guest_id: str) -> Job | None:
        """Return the guest's job, if one runs."""
        return self._running.get(guest_id)

    def start(self, guest_id: str, kind: JobKind, *, desired: str, work: Coroutine[None, None, None]) -> None:
        """Start a job for a guest that has none. The work handles its own errors."""
        if guest_id in self._running:
            work.close()
            raise RuntimeError(f"guest {guest_id} has a job already")
        task = asyncio.create_task(work, name=f"{kind.value} {guest_id}")
        self._running[guest_id] = Job(kind, desired, task)
        task.add_done_callback(partial(self._ended, guest_id))

    def cancel(self, guest_id: str) -> None:
        """Have the guest's job end; its end is told later. Once: a second time would go through what runs to its end."""
        job = self._running.get(guest_id)
        if job is not None and guest_id not in self._told:
            self._told.add(guest_id)
            job.task.cancel()

    async def close(self, *, within_s: float = 2.0) -> None:
        """End all jobs; the next agent goes on with them. One that waits for the hypervisor is not waited for long."""
        for guest_id in self._running:
            self.cancel(guest_id)
        if tasks := {job.task for job in self._running.values()}:
            await asyncio.wait(tasks, timeout=within_s)
            for task in tasks:
                task.cancel()  # the second time goes through work that runs to its end
            await asyncio.wait(tasks, timeout=within_s)

    def _ended(self, guest_id: str, task: asyncio.Task[None]) -> None:
        job = self._running.get(guest_id)
        if job is not None and job.task is task:
            del self._running[guest_id]
            self._told.discard(guest_id)
        self._on_end(guest_id)
