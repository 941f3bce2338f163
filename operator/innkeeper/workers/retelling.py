"""Says anew why no host fits, where hosts came, went or changed and helped nobody.

A guest that waits for room is tried when something could help it, so what it was told last may speak of hosts that were
there then. This looks at the fleet as it is; it decides nothing, and tells a bounded number of guests a minute. One that
some host fits by now has a look itself: it stands behind a guest of its line that has room, and no address.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import replace

from innkeeper.clock import Clock
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.reasons import GuestReason
from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.request import Request
from innkeeper.kube.informer import Key
from innkeeper.state.subset import Subset

AGAIN_S = 60.0
_TOGETHER = 256  # guests of one request that are looked at in one piece
MOST_AT_ONCE = 120  # requests looked at, and guests told, each time: the rest has its turn the next time


class Retelling:
    """Keeps messages of guests that wait for room. `blocked` says why each waits; `tell` is called for those changed.

    `look` has a guest tried.
    """

    def __init__(
        self,
        subset: Subset,
        blocked: MutableMapping[Key, Blocked],
        *,
        clock: Clock,
        tell: Callable[[Key], None],
        look: Callable[[Key], None],
    ) -> None:
        self._subset = subset
        self._blocked = blocked
        self._clock = clock
        self._tell = tell
        self._look = look
        self._shape = subset.fleet.shape  # as of the last time
        self._firsts: dict[Request, Key] = {}  # by line
        self._left: list[Key] = []

    def have_told_behind(self, first: Key, line: Request) -> None:
        """A guest has room now, and no address: so has everybody behind it in its line."""
        noted = self._firsts.get(line)
        if noted is None or not self._subset.backlog.stands(noted, line):
            self._firsts[line] = first

    async def run(self) -> None:
        """Look every minute, for ever."""
        while True:
            await self._clock.sleep(AGAIN_S)
            self._left = self._left or self._due()
            await self._some()

    def _due(self) -> list[Key]:
        backlog, shape = self._subset.backlog, self._subset.fleet.shape
        firsts, self._firsts = self._firsts, {}
        if shape == self._shape:
            return [each for first in firsts.values() for each in backlog.behind(first)]
        self._shape = shape
        return backlog.waiting()

    async def _some(self) -> None:
        messages: dict[Request, str | None] = {}
        cost = seen = 0
        while self._left and cost < MOST_AT_ONCE:
            key, seen = self._left.pop(), seen + 1
            request = self._request_of(key)
            if request is None:
                continue
            is_new = request not in messages
            if is_new:
                messages[request] = self._message(request)
                cost += 1
            if is_new or seen % _TOGETHER == 0:
                await asyncio.sleep(0)  # there may be many hosts, or many guests: other work goes on between
            message, blocked = messages[request], self._blocked.get(key)
            is_same = blocked is not None and blocked.waits_for_room == request
            if blocked is None or not is_same or message == blocked.message:
                continue
            if message is not None:
                self._blocked[key] = replace(blocked, message=message)
                self._tell(key)
                cost += 1
            elif self._is_behind(key):
                self._look(key)
                cost += 1

    def _is_behind(self, key: Key) -> bool:
        """Tell whether the first of a guest's line has no address; else room woke that one, or is on its way."""
        first = self._subset.backlog.first_of_line(key)
        before = self._blocked.get(first) if first is not None and first != key else None
        return before is not None and before.keeps_line is not None

    def _request_of(self, key: Key) -> Request | None:
        blocked = self._blocked.get(key)
        if blocked is None or blocked.reason is not GuestReason.NO_HOST_FITS:
            return None
        return blocked.waits_for_room

    def _message(self, request: Request) -> str | None:
        """Return why nothing fits; None where something does."""
        rows, _ = cycle.ranked(request, self._subset.fleet, seed=0, enough=1)
        return None if rows.size else cycle.no_host_fits(request, self._subset.fleet).message
