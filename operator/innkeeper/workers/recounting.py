"""Counts the subset anew on a timer, tells what had drifted, and lets other work go on in between."""

import asyncio
from collections import Counter
from collections.abc import Callable

import structlog

from innkeeper.clock import Clock
from innkeeper.state.recount import Drift, recount
from innkeeper.state.subset import Subset

log = structlog.get_logger()


class Recounting:
    """The timer. `drifted` is told how much of each kind was set right."""

    def __init__(
        self, subset: Subset, *, clock: Clock, period_s: float, drifted: Callable[[Drift, int], None]
    ) -> None:
        self._subset = subset
        self._clock = clock
        self._period_s = period_s
        self._drifted = drifted

    async def run(self) -> None:
        """Recount for ever."""
        while True:
            await self._clock.sleep(self._period_s)
            await self.recount()

    async def recount(self) -> Counter[Drift]:
        """Recount once; return what had drifted."""
        found: Counter[Drift] = Counter()
        for part in recount(self._subset):
            found += part
            await asyncio.sleep(0)
        for kind, count in found.items():
            log.warning("subset_drifted", kind=kind, count=count)
            self._drifted(kind, count)
        return found
