"""The agent's own metrics, made from their definitions."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry

from innkeeper.agent.streaming.messages import ImageStatus
from innkeeper.telemetry import families
from innkeeper.telemetry.metrics import QueueMetrics


class AgentFigures:
    """Counters, gauges and histograms, registered where the caller says."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.build_seconds = families.AGENT_BUILD.on(registry)
        self.step_seconds = families.AGENT_BUILD_STEP.on(registry)
        self.orders = families.AGENT_ORDERS.on(registry)
        self.job_failures = families.AGENT_JOB_FAILURES.on(registry)
        self.restarts = families.AGENT_RESTARTS.on(registry)
        self.crashing = families.AGENT_GUESTS_CRASHING.on(registry)
        self.api_answers = families.AGENT_API_ANSWERS.on(registry)
        self.api_refused = families.AGENT_API_REFUSED.on(registry)
        self.guests = families.AGENT_GUESTS.on(registry)
        self.guest_states = families.AGENT_GUEST_STATES.read(registry)
        self.domains = families.AGENT_DOMAINS_RUNNING.on(registry)
        self.lease_age = families.AGENT_LEASE_AGE.on(registry)
        self.queues = QueueMetrics(registry)


class BackupFigures:
    """What became of backups."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.backups = families.AGENT_BACKUPS.on(registry)
        self.failing = families.AGENT_BACKUP_FAILING.on(registry)
        self.last = families.AGENT_BACKUP_LAST_SUCCESS.on(registry)


class ImageFigures:
    """Where images came from. The streaming process counts by itself; its counts are added as they rise."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._fetches = families.AGENT_IMAGE_FETCHES.on(registry)
        self._bytes = families.AGENT_IMAGE_BYTES.on(registry)
        self._seen: dict[str, tuple[int, int]] = {}
        self._going_on: set[str] = set()

    def found(self, how: str) -> None:
        """Tell how an image was found that a build asked for: `here`, `copied` or `streamed`."""
        self._fetches.labels(found=how).inc()

    def copied(self, count: int) -> None:
        """Tell of bytes that came from the image server in order."""
        self._bytes.labels(source="server").inc(count)

    def goes_on(self, streams: Iterable[str]) -> None:
        """Tell which streams were served before this agent began: what they brought until now is not ours to count."""
        self._going_on = set(streams)

    def streamed(self, statuses: Mapping[str, ImageStatus]) -> None:
        """Take the counts of the streaming process; lower ones than before are those of a new process."""
        seen = {name: (each.from_origin, each.from_host) for name, each in statuses.items()}
        for name, (server, host) in seen.items():
            first = seen[name] if name in self._going_on else (0, 0)
            before = self._seen.get(name, first)
            self._bytes.labels(source="server").inc(_risen(before[0], server))
            self._bytes.labels(source="host").inc(_risen(before[1], host))
        self._going_on -= seen.keys()
        self._seen = seen


def _risen(before: int, now: int) -> int:
    return now - before if now >= before else now
