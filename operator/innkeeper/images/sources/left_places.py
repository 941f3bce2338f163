"""Which places of one image gave nothing lately: hosts ask chunk by chunk, and should not wait at each for the same one.

Kept in memory by who opens sources. It tells in which order to ask, and never leaves a place out.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from innkeeper.clock import Clock
from innkeeper.images.sources.source import SourceError

LEFT_S = 300.0  # how long a place is asked last
WAITED_S = 5.0  # who leaves a place after so long, and got nothing, has it asked last too


class LeftPlaces:
    """The places of one image, by their numbers."""

    def __init__(self, count: int, clock: Clock) -> None:
        self._clock = clock
        self._until: list[float | None] = [None] * count

    def order(self) -> list[int]:
        """Return the places in the order in which to ask them: those that were left come last, the longest ago first.

        Once a place was left for long enough one caller asks it in its turn, and the others go on without it meanwhile.
        """
        now = self._clock.monotonic()
        left: dict[int, float] = {}
        for place, until in enumerate(self._until):
            if until is not None and until <= now:
                self._until[place] = now + LEFT_S
            elif until is not None:
                left[place] = until
        return sorted(range(len(self._until)), key=lambda place: left.get(place, -inf))

    @contextmanager
    def asking(self, place: int) -> Iterator[None]:
        """Note whether a place gives something, fails, or is left after some waiting."""
        began = self._clock.monotonic()
        try:
            yield
        except SourceError:
            self._leave(place)
            raise
        except asyncio.CancelledError:
            if self._clock.monotonic() - began >= WAITED_S:
                self._leave(place)
            raise
        self._until[place] = None

    def _leave(self, place: int) -> None:
        self._until[place] = self._clock.monotonic() + LEFT_S
