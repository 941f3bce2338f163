"""How many frames of each guest were dropped, and why: a metric that is read from the kernel's own counters.

Only so many guests are told by name, those with the most drops: the number of series has a bound whatever a host holds.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry

from innkeeper.telemetry.families import AGENT_GUEST_FRAMES_DROPPED, MOST_GUESTS


class Drops:
    """The counts as they were last read: by Guest ID and why. A guest that is gone is gone from them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.counts: Mapping[tuple[str, str], int] = {}
        AGENT_GUEST_FRAMES_DROPPED.read(registry).samples = self._samples

    def _samples(self) -> Iterator[tuple[Sequence[str], float]]:
        by_guest: Counter[str] = Counter()
        for (guest_id, _), count in self.counts.items():
            by_guest[guest_id] += count
        told = {guest_id for guest_id, _ in by_guest.most_common(MOST_GUESTS)}
        for (guest_id, why), count in sorted(self.counts.items()):
            if guest_id in told:
                yield (guest_id, why), float(count)
