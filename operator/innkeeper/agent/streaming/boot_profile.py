"""What guests read of an image while they boot, in the order of their first look: what the next ones will want soon.

It is learnt by watching, ends when nothing new was read for a while, and changes nothing but the order of fetching.
"""

from collections.abc import Iterable, Iterator, Sequence

from innkeeper.clock import Clock
from innkeeper.domain.images.profile import MAX_CHUNKS

# A boot that reads nothing new for so long is over. On a slow processor it is quiet for longer between two reads, and it
# took longer to come this far.
QUIET_S = 12.0
QUIET_SHARE = 0.5
LONGEST_S = 1800.0  # who reads something new now and then for longer is at work, and needs all of its image

RUN_CHUNKS = 4  # at most in one request ahead of a guest: one that waits for another chunk waits no longer


class BootWatch:
    """Watches one image's reads until the boots of its guests are over."""

    def __init__(self, chunks: int, clock: Clock) -> None:
        self._seen = bytearray(chunks)
        self._clock = clock
        self._order: list[int] = []
        self._began: float | None = None
        self._last = 0.0

    def touch(self, first: int, behind: int) -> None:
        """A guest reads chunks."""
        if self._seen.count(1, first, behind) == behind - first:
            return
        self._last = self._clock.monotonic()
        if self._began is None:
            self._began = self._last
        for index in range(first, behind):
            if not self._seen[index]:
                self._seen[index] = 1
                if len(self._order) < MAX_CHUNKS:
                    self._order.append(index)

    def run_before(self, index: int, *, most: int) -> int:
        """Return how many chunks right before one were read, counting to `most`."""
        length = 0
        while length < min(most, index) and self._seen[index - 1 - length]:
            length += 1
        return length

    @property
    def is_over(self) -> bool:
        """Whether guests have read, and nothing new for a while; or for far longer than a boot takes."""
        if self._began is None:
            return False
        now = self._clock.monotonic()
        if now - self._began >= LONGEST_S:
            return True
        quiet = now - self._last
        return quiet >= max(QUIET_S, (self._last - self._began) * QUIET_SHARE)

    @property
    def order(self) -> Sequence[int]:
        """What was read so far."""
        return self._order


def runs(order: Iterable[int], *, most: int = RUN_CHUNKS) -> Iterator[tuple[int, int]]:
    """Yield the chunks of a profile as short runs: the first of each, and the one behind its last."""
    first = behind = -1
    for index in order:
        if index == behind and behind - first < most:
            behind += 1
            continue
        if first >= 0:
            yield first, behind
        first, behind = index, index + 1
    if first >= 0:
        yield first, behind
