"""How fast the background may fetch: so many bytes a second for all images together, as a bucket that fills steadily.

Guests that wait are never held back by it.
"""

from innkeeper.clock import Clock

_BURST_S = 0.25


class Pace:
    """A limit in bytes a second; 0 is none."""

    def __init__(self, bytes_per_s: float, clock: Clock) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._free_at = clock.monotonic()

    async def take(self, count: int) -> None:
        """Wait until `count` bytes may be fetched."""
        if self._bytes_per_s <= 0:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now - _BURST_S) + count / self._bytes_per_s
        wait = self._free_at - now
        if wait > 0:
            await self._clock.sleep(wait)
