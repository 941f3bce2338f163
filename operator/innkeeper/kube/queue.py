"""A queue of keys: what is in it twice is worked on once, and never by two workers at the same time.

A key that comes again while it is worked on is worked on again afterwards. Failures wait, each key by itself, twice as
long each time up to a cap. It holds keys only: the worker reads the newest state itself. Keys come out by rank where the
owner gives one (the lowest first, as it was when the key came), else in the order of their coming.
"""

import asyncio
import heapq
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from innkeeper.clock import Clock

K = TypeVar("K", bound=Hashable)

FIRST_DELAY_S = 0.25
LAST_DELAY_S = 30.0


class LatestQueue(Generic[K]):
    """Keys that want attention."""

    def __init__(
        self,
        clock: Clock,
        *,
        first_delay_s: float = FIRST_DELAY_S,
        last_delay_s: float = LAST_DELAY_S,
        rank: Callable[[K], tuple[Any, ...]] = lambda _: (),
    ) -> None:
        self._clock = clock
        self._rank = rank
        self._first_s = first_delay_s
        self._last_s = last_delay_s
        self._ready: list[tuple[tuple[Any, ...], int, K]] = []  # a heap: by rank, then by arrival
        self._waiting: dict[K, float] = {}  # in _ready, and since when; in the order of their coming
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._count = 0
        self._idle: dict[asyncio.Future[None], None] = {}  # in the order in which they became idle

    def __len__(self) -> int:
        return len(self._ready) + len(self._due) + len(self._again)

    @property
    def waiting(self) -> int:
        """How many keys wait for a worker now."""
        return len(self._waiting)

    def oldest_age_s(self) -> float:
        """For how many seconds the key has waited that waits for a worker for longest; 0 where none does."""
        since = next(iter(self._waiting.values()), None)
        return 0.0 if since is None else self._clock.monotonic() - since

    def add(self, key: K, *, after_s: float = 0) -> None:
        """Want attention for a key, now or later; the earlier of two wishes counts."""
        if after_s > 0:
            self._add_later(key, self._clock.monotonic() + after_s)
            return
        self._due.pop(key, None)
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = self._clock.monotonic()
            self._count += 1
            heapq.heappush(self._ready, (self._rank(key), self._count, key))
            self._wake_one()

    def _add_later(self, key: K, due: float) -> None:
        if key in self._waiting or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        self._count += 1
        heapq.heappush(self._later, (due, self._count, key))
        if self._later[0][2] == key:
            self._wake_one()

    async def take(self) -> K:
        """Wait for the next key; the caller must call `done` or `failed` for it."""
        while True:
            self._promote()
            if self._ready:
                _, _, key = heapq.heappop(self._ready)
                self._waiting.pop(key, None)
                self._working.add(key)
                if self._later or self._ready:
                    self._wake_one()  # somebody else now waits for what is due next
                return key
            await self._wait()

    async def _wait(self) -> None:
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle[called] = None
        try:
            await self._until_called_or_due(called)
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self._wake_one()  # what it was called for is somebody else's work now
            raise
        finally:
            self._idle.pop(called, None)

    async def _until_called_or_due(self, called: asyncio.Future[None]) -> None:
        if not self._later:
            await called
            return
        due_in_s = max(0.0, self._later[0][0] - self._clock.monotonic())
        pause = asyncio.ensure_future(self._clock.sleep(due_in_s))
        try:
            await asyncio.wait({pause, called}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()

    def _wake_one(self) -> None:
        """Call the worker that is idle for longest; the others would find nothing to do."""
        called = next(iter(self._idle), None)
        if called is not None:
            del self._idle[called]
            if not called.done():
                called.set_result(None)

    def _promote(self) -> None:
        now = self._clock.monotonic()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                self.add(key)

    def done(self, key: K) -> None:
        """Say that the work on a key succeeded."""
        self._failures.pop(key, None)
        self._end(key)

    def failed(self, key: K, *, at_least_s: float = 0) -> float:
        """Say that it failed; the key comes again after a while, whose seconds are returned."""
        failures = self._failures.get(key, 0)
        self._failures[key] = min(failures + 1, 30)
        delay = max(at_least_s, min(self._last_s, self._first_s * float(2**failures)))
        self._end(key)
        self.add(key, after_s=delay)
        return delay

    def forget(self, key: K) -> None:
        """Drop what is known of a key: its object is gone."""
        self._failures.pop(key, None)
        self._due.pop(key, None)

    def _end(self, key: K) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
