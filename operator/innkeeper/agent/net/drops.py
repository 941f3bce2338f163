"""How many frames of each guest were dropped, and why: a metric that is read from the kernel's own counters."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class Drops(Collector):
    """The counts as they were last read: by Guest ID and why."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.counts: Mapping[tuple[str, str], int] = {}
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the one metric; a guest that is gone is gone from it."""
        found = CounterMetricFamily(
            "innkeeper_agent_guest_frames_dropped",
            "Frames that a guest sent and the packet filter dropped, by what was not its own (mac, ipv4, ...).",
            labels=["guest", "why"],
        )
        for (guest_id, why), count in sorted(self.counts.items()):
            found.add_metric([guest_id, why], count)
        yield found
