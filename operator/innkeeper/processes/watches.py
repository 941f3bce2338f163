"""Everything that the operator watches: one informer and one feed for each kind.

They run in every replica, so that a standby that takes over knows everything already. Of Kubernetes' own kinds only
objects with the label of a host are watched.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from innkeeper.clock import Clock
from innkeeper.domain.names import GROUP, HOST_LABEL
from innkeeper.kube import resources
from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change, Informer
from innkeeper.kube.resources import Resource
from innkeeper.kube.views import CustomResourceDefinition
from innkeeper.state.subset import Subset
from innkeeper.views.meta import View
from innkeeper.workers.hosts.feed import Feed
from innkeeper.workers.hosts.flow import HostFlow
from innkeeper.workers.hosts.statuses import HostStatuses

V = TypeVar("V", bound=View)
FRESH_S = 75.0  # a watch gives a sign of life each minute, however quiet it is
RARE_KINDS = ("clusters", "ippools", "images", "flavors")


class Watch(Generic[V]):
    """One kind: its informer, and the feed behind it."""

    def __init__(self, client: Client, resource: Resource[V], *, clock: Clock, selector: str | None) -> None:
        self.feed: Feed[V] = Feed()
        self.informer: Informer[V] = Informer(
            client, resource, on_change=self.feed, clock=clock, label_selector=selector
        )

    def join(self, listener: Callable[[Change[V]], None]) -> None:
        """Tell a listener of all that is known, and from now on of every change."""
        self.feed.join(listener, known=self.informer.objects)


class Watches:
    """All kinds, and the subset that the hot ones feed."""

    def __init__(self, client: Client, *, clock: Clock, subset: Subset) -> None:
        self._client = client
        self._clock = clock
        self.all: list[Watch[Any]] = []
        self._by_view: dict[type[View], Watch[Any]] = {}
        self.guests = self._watch(resources.GUESTS)
        self.operations = self._watch(resources.GUEST_OPERATIONS)
        self.assignments = self._watch(resources.ASSIGNMENTS)
        self.hosts = self._watch(resources.HOSTS)
        self.host_agents = self._watch(resources.HOST_AGENTS)
        self.addresses = self._watch(resources.IP_ADDRESSES)
        self.pools = self._watch(resources.IP_POOLS)
        self.flavors = self._watch(resources.FLAVORS)
        self.images = self._watch(resources.IMAGES)
        self.clusters = self._watch(resources.CLUSTERS)
        for watch in list(self.all):
            watch.join(subset.apply)
            subset.attach(watch.informer.resource.view, watch.informer.assume)
        self.leases = self._watch(resources.LEASES, selector=HOST_LABEL)
        self.namespaces = self._watch(resources.NAMESPACES, selector=HOST_LABEL)
        self.accounts = self._watch(resources.SERVICE_ACCOUNTS, selector=HOST_LABEL)
        self.roles = self._watch(resources.ROLES, selector=HOST_LABEL)
        self.bindings = self._watch(resources.ROLE_BINDINGS, selector=HOST_LABEL)
        self.crds = self._watch(resources.CRDS)
        self.went_back = asyncio.Event()  # the store was found to be older than what was seen of it
        self.unused = asyncio.Event()  # nobody decides by these views
        self.unused.set()
        for watch in self.all:
            watch.informer.before_older = self._before_older

    async def _before_older(self) -> None:
        """Say it at once; no view becomes an older one while somebody decides by it."""
        self.went_back.set()
        await self.unused.wait()

    def _watch(self, resource: Resource[V], *, selector: str | None = None) -> Watch[V]:
        watch = Watch(self._client, resource, clock=self._clock, selector=selector)
        self.all.append(watch)
        self._by_view[resource.view] = watch
        return watch

    def assume(self, view: View) -> None:
        """Take the answer to a write of our own, whatever its kind."""
        self._by_view[type(view)].informer.assume(view)

    async def synced(self) -> None:
        """Wait until every first list is complete."""
        for watch in self.all:
            await watch.informer.synced.wait()

    def placing_age_s(self) -> float:
        """Return the seconds since whichever kind was heard last of all that a placement hangs on."""
        kinds = (
            *(self.guests, self.assignments, self.hosts, self.host_agents, self.clusters),
            *(self.addresses, self.pools, self.flavors, self.images),
        )
        return max(each.informer.age_s() for each in kinds)

    def follow_hosts(self, flow: HostFlow) -> None:
        """Tell the flow of hosts of all that concerns identities."""
        self.hosts.join(flow.host_changed)
        self.clusters.join(flow.cluster_changed)
        self.assignments.join(flow.assignment_changed)
        self.guests.join(flow.guest_changed)
        for watch in (self.namespaces, self.accounts, self.roles, self.bindings, self.host_agents):
            watch.join(flow.part_changed)

    def follow_host_statuses(self, statuses: HostStatuses) -> None:
        """Tell the statuses of hosts of all that they show."""
        self.leases.join(statuses.lease_changed)
        self.hosts.join(statuses.host_changed)
        self.host_agents.join(statuses.agent_changed)
        self.clusters.join(statuses.cluster_changed)
        self.guests.join(statuses.guest_changed)
        self.assignments.join(statuses.assignment_changed)

    def rare_kinds_exist(self) -> bool:
        """Tell whether every kind that kopf handles is served and stays."""
        return all(is_served(self._crd(plural)) for plural in RARE_KINDS)

    def guest_crd_terminating(self) -> bool:
        """Tell whether the kind Guest itself is on its way out: no deletion of a Guest is an order then."""
        crd = self._crd("guests")
        return crd is None or crd.metadata.deletion_timestamp is not None

    def _crd(self, plural: str) -> CustomResourceDefinition | None:
        return self.crds.informer.objects.get(("", f"{plural}.{GROUP}"))


def are_fresh(*watches: Watch[Any]) -> bool:
    """Tell whether what these watches show is complete and not old."""
    informers = [each.informer for each in watches]
    return all(each.watching and each.age_s() < FRESH_S for each in informers)


def is_served(crd: CustomResourceDefinition | None) -> bool:
    """Tell whether a kind can be listed."""
    if crd is None or crd.metadata.deletion_timestamp is not None:
        return False
    return any(each.type == "Established" and each.status == "True" for each in crd.status.conditions or [])
