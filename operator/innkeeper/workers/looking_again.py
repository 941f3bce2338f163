"""Bound guests that nothing hurries are looked at again, a few at a time, while the workers are not behind.

So a changed pool of a hundred thousand guests holds nobody up who is being built. It decides nothing of a guest.
"""

import asyncio
from collections.abc import Callable, Iterable

from innkeeper.clock import Clock

_GIVE_WAY_S = 0.2


class LookingAgain:
    """Guest IDs that are due. `busy` tells whether as many guests wait as there are workers, `look` has one looked at."""

    def __init__(self, *, clock: Clock, busy: Callable[[], bool], look: Callable[[str], None]) -> None:
        self._clock = clock
        self._busy = busy
        self._look = look
        self._due: dict[str, None] = {}  # in the order of their coming
        self._some = asyncio.Event()

    def add(self, guest_ids: Iterable[str]) -> None:
        """Have guests looked at some time soon."""
        self._due.update(dict.fromkeys(guest_ids))
        if self._due:
            self._some.set()

    async def run(self) -> None:
        """Work for ever."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._due:
                while self._busy():
                    await self._clock.sleep(_GIVE_WAY_S)
                guest_id = next(iter(self._due))
                del self._due[guest_id]
                self._look(guest_id)
                await asyncio.sleep(0)
