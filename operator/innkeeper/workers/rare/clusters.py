"""Clusters: Ready once one of their hosts is, and counters for people.

Rendered from the watched Hosts; written at once when Ready changes, counters within seconds.
"""

from collections.abc import Mapping
from typing import Any

from innkeeper.clock import Clock
from innkeeper.domain.reasons import ConditionType, PoolReason
from innkeeper.kube import conditions
from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change, Key
from innkeeper.kube.resources import CLUSTERS
from innkeeper.kube.status_writer import StatusWriter
from innkeeper.views.catalog import Cluster
from innkeeper.views.host import Host
from innkeeper.views.meta import Condition


class Clusters:
    """Keeps the statuses of Clusters."""

    def __init__(
        self,
        client: Client,
        *,
        clusters: Mapping[Key, Cluster],
        hosts: Mapping[Key, Host],
        clock: Clock,
        delay_s: float,
    ) -> None:
        self._clusters = clusters
        self._hosts = hosts
        self._clock = clock
        self._writer = StatusWriter(
            client, CLUSTERS, clock=clock, render=self._render, read=clusters.get, delay_s=delay_s
        )

    async def run(self) -> None:
        """Write statuses for ever."""
        await self._writer.run()

    async def check(self, name: str) -> None:
        """Write the status of one Cluster now, if it differs.

        Raises:
            ApiError: the API server refused, or is away.
        """
        await self._writer.write(("", name))

    def cluster_changed(self, change: Change[Cluster]) -> None:
        """Look at a Cluster that changed."""
        self._writer.touch(change.key, urgent=True)

    def host_changed(self, change: Change[Host]) -> None:
        """Look at the Cluster of a Host that changed."""
        urgent = is_ready(change.old) is not is_ready(change.new)
        for host in (change.old, change.new):
            if host is not None:
                self._writer.touch(("", host.spec.cluster), urgent=urgent)

    def _render(self, key: Key) -> dict[str, Any] | None:
        cluster = self._clusters[key]
        hosts = [host for host in self._hosts.values() if host.spec.cluster == cluster.metadata.name]
        return status_of(cluster, hosts, clock=self._clock)


def status_of(cluster: Cluster, hosts: list[Host], *, clock: Clock) -> dict[str, Any] | None:
    """Return the status that a Cluster with these hosts should have, or None where it has it."""
    ready = sum(is_ready(host) for host in hosts)
    condition = Condition(
        type=ConditionType.READY,
        status="True" if ready else "False",
        reason=PoolReason.READY if ready else PoolReason.NO_HOST_READY,
        message="hosts of it are Ready"
        if ready
        else "none of its hosts is Ready: `kubectl get hosts` says why",
        observed_generation=cluster.metadata.generation,
    )
    status = cluster.status
    new = conditions.merged(status.conditions, [condition], now=clock.now())
    facts = {
        "observedGeneration": cluster.metadata.generation,
        "hosts": len(hosts),
        "guests": sum(host.status.guests for host in hosts),
    }
    old = {"observedGeneration": status.observed_generation, "hosts": status.hosts, "guests": status.guests}
    if facts == old and new == status.conditions:
        return None
    return {**facts, "conditions": [conditions.document(each) for each in new]}


def is_ready(host: Host | None) -> bool:
    """Tell whether a Host's Ready condition is True."""
    found = conditions.find(host.status.conditions, ConditionType.READY) if host is not None else None
    return found is not None and found.status == "True"
