"""The metrics that all processes share, and those of the operator, made from their definitions in `families`.

A registry is passed in, so two processes in one test never share a counter. Gauges that mirror state are read from it at
the moment somebody asks, so they cannot go stale.
"""

import platform
from collections.abc import Callable
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry

from innkeeper import __version__
from innkeeper.kube.informer import Informer
from innkeeper.kube.queue import LatestQueue
from innkeeper.kube.relisting import Way
from innkeeper.telemetry import families
from innkeeper.telemetry.definition import Process
from innkeeper.telemetry.readiness import Watch


class ProcessMetrics:
    """What every process tells."""

    def __init__(self, registry: CollectorRegistry, *, process: Process) -> None:
        info = families.BUILD_INFO.on(registry)
        info.labels(process=process, version=__version__, python=platform.python_version()).set(1)
        self._writes = families.API_WRITES.on(registry)

    def wrote(self, kind: str, verb: str, outcome: str) -> None:
        """Tell of one write to the API server."""
        self._writes.labels(kind=kind, verb=verb, outcome=outcome).inc()


class QueueMetrics:
    """What a process with queues tells of each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._depth = families.QUEUE_DEPTH.on(registry)
        self._oldest = families.QUEUE_OLDEST_AGE.on(registry)

    def queue(self, name: str, queue: LatestQueue[str] | LatestQueue[tuple[str, str, str]]) -> None:
        """Tell of one queue; of a later one of the same name from then on."""
        self._depth.labels(queue=name).set_function(lambda: float(queue.waiting))
        self._oldest.labels(queue=name).set_function(queue.oldest_age_s)


class WatchMetrics:
    """What a process tells of the kinds that it watches."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._age = families.WATCH_AGE.on(registry)
        self._synced = families.WATCH_SYNCED.on(registry)
        self._objects = families.WATCHED_OBJECTS.on(registry)
        self._informers: dict[str, Informer[Any]] = {}
        families.WATCH_STARTS.read(registry).samples = lambda: (
            ((kind, way), float(each.starts[way])) for kind, each in self._informers.items() for way in Way
        )
        families.WATCH_CHANGES_NOT_TAKEN.read(registry).samples = lambda: (
            ((kind,), float(len(each.untaken))) for kind, each in self._informers.items()
        )

    def watch(self, kind: str, watch: Watch, *, count: Callable[[], int]) -> None:
        """Tell of one informer."""
        self._age.labels(kind=kind).set_function(watch.age_s)
        self._synced.labels(kind=kind).set_function(lambda: float(watch.synced.is_set()))
        self._objects.labels(kind=kind).set_function(lambda: float(count()))

    def informer(self, kind: str, informer: Informer[Any]) -> None:
        """Tell of the ways in which one informer learnt what there is, and of the changes that it told in vain."""
        self._informers[kind] = informer


class SnapshotMetrics:
    """What a process that keeps a snapshot tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.loads = families.SNAPSHOT_LOADS.on(registry)
        self.failures = families.SNAPSHOT_WRITE_FAILURES.on(registry)
        self._bytes = families.SNAPSHOT_BYTES.on(registry)
        self._seconds = families.SNAPSHOT_WRITE.on(registry)
        self._at = families.SNAPSHOT_TIMESTAMP.on(registry)

    def written(self, size: int, *, seconds: float, at: datetime) -> None:
        """Tell of a snapshot that was written."""
        self._bytes.set(size)
        self._seconds.set(seconds)
        self._at.set(at.timestamp())


class QueryMetrics:
    """What whoever answers queries tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = families.QUERY.on(registry)
        self._answers = families.QUERIES.on(registry)

    def answered(self, path: str, code: int, seconds: float) -> None:
        """Tell of one answer."""
        self._seconds.labels(path=path).observe(seconds)
        self._answers.labels(path=path, code=str(code)).inc()


class HostRecordMetrics:
    """What a process that reads hosts tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pulls = families.HOST_RECORD_PULLS.on(registry)
        self.foreign_orders = families.HOST_RECORD_FOREIGN_ORDERS.on(registry)
        self.oldest = families.HOST_RECORD_OLDEST_AGE.on(registry)
        self.unread = families.HOSTS_UNREAD.on(registry)
        self.orphans = families.ORPHANS.on(registry)


class RebuildMetrics:
    """What a process tells that may have to hear hosts before it leads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.waits = families.REBUILD_WAITS.on(registry)
        self.unheard = families.REBUILD_HOSTS_UNHEARD.on(registry)
        self.findings = families.REBUILD_FINDINGS.on(registry)


class OperatorMetrics:
    """What the operator tells while it leads; what is read from a leader's state is empty before."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.leader = families.LEADER.on(registry)
        self.lease_age = families.LEADER_LEASE_AGE.on(registry)
        self.queues = QueueMetrics(registry)
        self.hosts = families.HOSTS.read(registry)
        self.agents = families.AGENTS.read(registry)
        self.silence_held_back = families.HOSTS_SILENCE_HELD_BACK.on(registry)
        self.heartbeat_oldest_age = families.HEARTBEAT_OLDEST_AGE.on(registry)
        self.guests = families.GUESTS.read(registry)
        self.guests_stalled = families.GUESTS_STALLED.read(registry)
        self.guest_unready = families.GUEST_UNREADY.read(registry)
        self.guests_waiting_for_room = families.GUESTS_WAITING_FOR_ROOM.on(registry)
        self.decisions = families.SCHEDULING_DECISION.on(registry)
        self.binds = families.BIND.on(registry)
        self.subset_drift = families.SUBSET_DRIFT.on(registry)
        self.address_findings = families.ADDRESS_FINDINGS.on(registry)
        self.pool_addresses = families.POOL_ADDRESSES.read(registry)
        self.images = families.IMAGES.read(registry)
        self.images_source_unreachable = families.IMAGES_SOURCE_UNREACHABLE.on(registry)
        self.images_unanswered = families.IMAGES_UNANSWERED.on(registry)
        self.image_inspections = families.IMAGE_INSPECTIONS.on(registry)
        self.kopf_starts = families.KOPF_STARTS.on(registry)
        self.history_steps = families.HISTORY_STEPS.on(registry)
        self.guest_operations = families.GUEST_OPERATIONS.on(registry)
