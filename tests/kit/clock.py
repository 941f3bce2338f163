"""A clock that stands still until a test moves it.

Whoever sleeps on it wakes when the test has moved it far enough, so a back-off of an hour takes no time and a test of a
time-out needs no waiting.
"""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)
# A sum of floats may miss its mark by a hair; nobody should sleep on for that.
_HAIR_S = 1e-9


class ManualClock:
    """Time as the test says; begins at the first of January 2026."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic = 1000.0
        self.slept = 0  # how often somebody lay down to sleep
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has moved the clock by so much."""
        if seconds <= 0:
            await asyncio.sleep(0)  # a turn of the loop: no time passes
            return
        self.slept += 1
        entry = (self._monotonic + seconds, asyncio.get_running_loop().create_future())
        self._sleepers.append(entry)
        try:
            await entry[1]
        finally:
            self._sleepers.remove(entry)

    @property
    def sleepers(self) -> int:
        """How many sleep now: a test waits for this before it moves the clock."""
        return sum(not future.done() for _, future in self._sleepers)

    @property
    def next_s(self) -> float:
        """Return in how many seconds the first of them wakes; infinity when nobody sleeps."""
        return min(self.waits, default=float("inf"))

    @property
    def waits(self) -> list[float]:
        """Return for how many more seconds each of them sleeps, the shortest first."""
        return sorted(due - self._monotonic for due, future in self._sleepers if not future.done())

    def wakes_in(self, seconds: float) -> bool:
        """Tell whether one of them wakes after just so many seconds from now."""
        return any(abs(each - seconds) < _HAIR_S for each in self.waits)

    def advance(self, seconds: float) -> None:
        """Move the clock and wake who slept long enough."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
        for due, future in self._sleepers:
            if due <= self._monotonic + _HAIR_S and not future.done():
                future.set_result(None)

    def set_wall(self, now: datetime) -> None:
        """Set the time of day alone, as a wrong NTP server would."""
        self._now = now
