"""The image server's own metrics, made from their definitions."""

from prometheus_client import CollectorRegistry

from innkeeper.telemetry import families


class Figures:
    """Counters and gauges, registered where the caller says."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent_bytes = families.IMAGES_SENT_BYTES.on(registry)
        self.store_lookups = families.IMAGES_STORE_LOOKUPS.on(registry)
        self.streams = families.IMAGES_STREAMS.on(registry)
        self.store_bytes = families.IMAGES_STORE_BYTES.on(registry)
        self.requests = families.IMAGES_REQUESTS.on(registry)
