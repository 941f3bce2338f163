"""The steps of guests that wait to be written: one whenever the reason of Ready is another than before.

A build shows several within a second. Each would cost a sync of the disk, so they are collected here and written with
what is written anyway; a kill loses those of the last seconds, and no guest's standing with them.
"""

import asyncio
from collections.abc import Mapping, Sequence

from innkeeper.agent.store.records import Ready
from innkeeper.clock import Clock, rfc3339_micro
from innkeeper.domain.host_store import KEPT_STEPS, Step


class PendingSteps:
    """Steps by Guest ID, the oldest first, no more of a guest than its history keeps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reasons: dict[str, str] = {}
        self._waiting: dict[str, list[Step]] = {}
        self._some = asyncio.Event()

    def stands(self, guest_id: str, ready: Ready) -> None:
        """Take for known how a guest stands."""
        self._reasons[guest_id] = ready.reason

    def note(self, guest_id: str, ready: Ready) -> None:
        """Note a step, if it is one."""
        if self._reasons.get(guest_id) == ready.reason:
            return
        self.stands(guest_id, ready)
        step = Step(at=rfc3339_micro(self._clock.now()), reason=ready.reason, message=ready.message)
        self._waiting[guest_id] = [*self._waiting.get(guest_id, [])[1 - KEPT_STEPS :], step]
        self._some.set()

    def of(self, guest_id: str) -> Sequence[Step]:
        """Return what waits of one guest."""
        return tuple(self._waiting.get(guest_id, ()))

    def all(self) -> dict[str, Sequence[Step]]:
        """Return what waits."""
        return {guest_id: tuple(steps) for guest_id, steps in self._waiting.items()}

    def written(self, steps: Mapping[str, Sequence[Step]]) -> None:
        """Let go of what was written; what was noted meanwhile waits on."""
        for guest_id, taken in steps.items():
            left = [each for each in self._waiting.pop(guest_id, []) if each not in taken]
            if left:
                self._waiting[guest_id] = left
        if not self._waiting:
            self._some.clear()

    def forget(self, guest_id: str) -> None:
        """Let go of a guest that is destroyed."""
        self._reasons.pop(guest_id, None)
        self.written({guest_id: self.of(guest_id)})

    async def wait(self) -> None:
        """Wait until something waits."""
        await self._some.wait()
