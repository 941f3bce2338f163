"""The metrics that all processes share, and those of the operator; each is defined once, here.

A registry is passed in, so two processes in one test never share a counter. Gauges that mirror state are read
from it at the moment somebody asks, so they cannot go stale.
"""

import platform
from collections.abc import Callable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from innkeeper import __version__
from innkeeper.kube.relisting import Way
from innkeeper.telemetry.readiness import Watch


class ProcessMetrics:
    """What every process tells."""

    def __init__(self, registry: CollectorRegistry, *, process: str) -> None:
        info = Gauge(
            "innkeeper_build_info",
            "1, with the version as a label.",
            ["process", "version", "python"],
            registry=registry,
        )
        info.labels(process=process, version=__version__, python=platform.python_version()).set(1)
        self._age = Gauge(
            "innkeeper_watch_age_seconds",
            "Seconds since the last event, bookmark or list of a watch.",
            ["kind"],
            registry=registry,
        )
        self._synced = Gauge(
            "innkeeper_watch_synced",
            "1 once the first list of a kind is complete.",
            ["kind"],
            registry=registry,
        )
        self._starts = Gauge(
            "innkeeper_watch_starts",
            "How often the objects of a kind became known, by way: snapshot, metadata or list.",
            ["kind", "way"],
            registry=registry,
        )
        self._objects = Gauge(
            "innkeeper_watched_objects", "Objects of a kind that are known.", ["kind"], registry=registry
        )

    def watch(self, kind: str, watch: Watch, *, count: Callable[[], int]) -> None:
        """Tell of one informer."""
        self._age.labels(kind=kind).set_function(watch.age_s)
        self._synced.labels(kind=kind).set_function(lambda: float(watch.synced.is_set()))
        self._objects.labels(kind=kind).set_function(lambda: float(count()))

    def starts(self, kind: str, ways: Mapping[Way, int]) -> None:
        """Tell of the ways in which one informer learnt what there is."""
        for way in Way:
            self._starts.labels(kind=kind, way=way).set_function(lambda way=way: float(ways[way]))  # type: ignore[misc] # a lambda with a default


class SnapshotMetrics:
    """What a process that keeps a snapshot tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.loads = Counter(
            "innkeeper_snapshot_loads",
            "Snapshots that were looked at, by outcome: used, or why not.",
            ["outcome"],
            registry=registry,
        )
        self.failures = Counter(
            "innkeeper_snapshot_write_failures", "Snapshots that could not be written.", registry=registry
        )
        self._bytes = Gauge("innkeeper_snapshot_bytes", "Size of the last snapshot.", registry=registry)
        self._seconds = Gauge(
            "innkeeper_snapshot_write_seconds", "How long the last snapshot took to write.", registry=registry
        )
        self._at = Gauge(
            "innkeeper_snapshot_timestamp_seconds",
            "When the last snapshot was written, as a Unix time.",
            registry=registry,
        )

    def written(self, size: int, *, seconds: float, at: datetime) -> None:
        """Tell of a snapshot that was written."""
        self._bytes.set(size)
        self._seconds.set(seconds)
        self._at.set(at.timestamp())


class QueryMetrics:
    """What whoever answers queries tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "innkeeper_query_seconds",
            "How long an answer took, by the pattern of the path below the API's version.",
            ["path"],
            buckets=(1e-3, 5e-3, 2e-2, 1e-1, 5e-1, 2),
            registry=registry,
        )
        self._answers = Counter(
            "innkeeper_queries", "Answers, by path and HTTP status.", ["path", "code"], registry=registry
        )

    def answered(self, path: str, code: int, seconds: float) -> None:
        """Tell of one answer."""
        self._seconds.labels(path=path).observe(seconds)
        self._answers.labels(path=path, code=str(code)).inc()


class HostRecordMetrics:
    """What a process that reads hosts tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pulls = Counter(
            "innkeeper_host_record_pulls",
            "How often a host was asked what it holds, by outcome: events, snapshot or failed.",
            ["outcome"],
            registry=registry,
        )
        self.foreign_orders = Counter(
            "innkeeper_host_record_foreign_orders",
            "Orders that hosts showed and that our key did not sign; they count for nothing.",
            registry=registry,
        )
        self.oldest = Gauge(
            "innkeeper_host_record_oldest_age_seconds",
            "Seconds since the host was heard whose record is the oldest.",
            registry=registry,
        )
        self.unread = Gauge(
            "innkeeper_hosts_unread",
            "Hosts of which it is not known what they hold, or that did not answer the last time.",
            registry=registry,
        )
        self.orphans = Gauge(
            "innkeeper_orphans",
            "Guests that hosts hold and that have no Guest object.",
            registry=registry,
        )


class RebuildMetrics:
    """What a process tells that may have to hear hosts before it leads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.waits = Gauge(
            "innkeeper_rebuild_waits",
            "1 while this process does not lead, because hosts may hold guests that the API server does not know.",
            registry=registry,
        )
        self.unheard = Gauge(
            "innkeeper_rebuild_hosts_unheard",
            "Hosts that have to be heard, or declared lost, before this process leads.",
            registry=registry,
        )
        self.findings = Counter(
            "innkeeper_rebuild_findings",
            "What was found while hosts were heard, by kind.",
            ["kind"],
            registry=registry,
        )


class OperatorMetrics:
    """What the operator tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.leader = Gauge(
            "innkeeper_leader", "1 while this process holds the Lease and works.", registry=registry
        )
        self.hosts = Gauge(
            "innkeeper_hosts", "Hosts by the reason of their Ready condition.", ["reason"], registry=registry
        )
        self.silence_held_back = Gauge(
            "innkeeper_hosts_silence_held_back",
            "Hosts that are not heard but do not count as silent, because too many fell silent at once.",
            registry=registry,
        )
        self.guest_queue = Gauge(
            "innkeeper_guest_queue", "Guests that wait for a worker of the operator.", registry=registry
        )
        self.guests_waiting_for_room = Gauge(
            "innkeeper_guests_waiting_for_room",
            "Guests that no host fits, until something changes that could help them.",
            registry=registry,
        )
        self.decisions = Histogram(
            "innkeeper_scheduling_decision_seconds",
            "How long the decision for one guest took, by whether a host was found.",
            ["outcome"],
            buckets=(1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
            registry=registry,
        )
        self.binds = Histogram(
            "innkeeper_bind_seconds",
            "How long a guest took from its turn in the queue to a written order: decision, claim, binding, order.",
            buckets=(5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1, 1, 2, 5),
            registry=registry,
        )
        self.subset_drift = Counter(
            "innkeeper_subset_drift",
            "What a recount of the subset set right, by kind.",
            ["kind"],
            registry=registry,
        )
        self.address_findings = Counter(
            "innkeeper_address_findings",
            "What the sweeper set right: claims that no guest stands behind, bound guests without their claim.",
            ["finding"],
            registry=registry,
        )
        self.image_inspections = Counter(
            "innkeeper_image_inspections", "Answers of the image server.", ["state"], registry=registry
        )
        self.kopf_starts = Counter(
            "innkeeper_kopf_starts",
            "How often the handlers of the rare kinds were started.",
            registry=registry,
        )
