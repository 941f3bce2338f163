"""Hosts as the fleet that decisions read has them. Pure: a Host tells it, and of images its HostAgent."""

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import ConditionType
from innkeeper.domain.scheduling.facts import HostFacts
from innkeeper.kube.conditions import find
from innkeeper.views.host import Host, HostAgent


def facts_of(host: Host, agent: HostAgent | None) -> HostFacts:
    """Return what decisions know of a host."""
    ready = find(host.status.conditions, ConditionType.READY)
    return HostFacts(
        name=host.metadata.name,
        cluster=host.spec.cluster,
        labels=host.metadata.labels,
        taints=tuple(host.spec.taints),
        ready=ready is not None and ready.status == "True" and host.status.store_id is not None,
        unschedulable=host.spec.unschedulable,
        maintenance=host.spec.maintenance,
        leaving=host.spec.lost is not None or host.metadata.deletion_timestamp is not None,
        allocatable=Amounts.of(host.status.allocatable),
        images={each.digest: each.percent for each in agent.status.images} if agent else {},
    )
