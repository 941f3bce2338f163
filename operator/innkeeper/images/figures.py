"""The image server's own metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class Figures:
    """Counters and gauges, registered where the caller says."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent_bytes = Counter(
            "innkeeper_images_sent_bytes", "Image bytes sent to hosts.", registry=registry
        )
        self.streams = Gauge("innkeeper_images_streams", "Streams that are open now.", registry=registry)
        self.store_bytes = Gauge(
            "innkeeper_images_store_bytes", "Bytes that unpacked images take on the disk.", registry=registry
        )
        self.requests = Counter(
            "innkeeper_images_requests",
            "Requests by endpoint and status code.",
            ["endpoint", "code"],
            registry=registry,
        )
