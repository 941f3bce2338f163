"""Hosts' flows on a fake API server, with a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from innkeeper.domain import names
from innkeeper.kube.client import Client
from innkeeper.kube.queue import LatestQueue
from innkeeper.kube.resources import CLUSTERS, HOST_AGENTS, HOSTS, LEASES
from innkeeper.processes.watches import Watches
from innkeeper.state.subset import Subset
from innkeeper.views.host import HostAgent, OrderKey
from innkeeper.workers.hosts.flow import HostFlow, Identities, as_it_is
from innkeeper.workers.hosts.silence import Silence
from innkeeper.workers.hosts.statuses import HostStatuses
from tests.kit.clock import ManualClock
from tests.kit.fake_api import FakeApi
from tests.kit.waiting import eventually, settled

KEY = OrderKey(id="0" * 16, public_key="A" * 43 + "=")


@dataclass
class Scene:
    """The flows of hosts at work."""

    api: FakeApi
    clock: ManualClock
    subset: Subset
    watches: Watches
    statuses: HostStatuses
    looks: list[str]  # at which hosts the flow of identities looked

    def host(self, name: str, **spec: Any) -> None:
        """Register a Host as an admin does."""
        self.api.create(HOSTS, {"metadata": {"name": name}, "spec": {"cluster": "c", **spec}})

    async def joined(self, *hosts: str) -> None:
        """Register Hosts, let their agents report and beat, and wait until they are Ready."""
        for name in hosts:
            self.host(name)
        for name in hosts:
            await eventually(lambda name=name: self.orders(name))
            self.report(name)
            self.beat(name)
        for name in hosts:
            await eventually(lambda name=name: self.reason(name) == "Ready")

    def orders(self, name: str) -> dict[str, Any] | None:
        """The host's HostAgent."""
        return self.api.get(HOST_AGENTS, "host", namespace=names.host_namespace(name))

    def report(self, name: str) -> None:
        """Report as the host's agent does."""
        status = {
            "storeId": "s",
            "hypervisor": "KVM",
            "capacity": {"cpu": "4", "memory": "8Gi", "disk": "50Gi"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}],
        }
        self.api.patch(
            HOST_AGENTS,
            "host",
            {"status": status},
            namespace=names.host_namespace(name),
            subresource="status",
        )

    def beat(self, name: str) -> None:
        """Renew the host's Lease as its agent does."""
        place = names.host_namespace(name)
        spec = {"renewTime": f"{self.clock.monotonic()}"}
        if self.api.get(LEASES, names.HEARTBEAT_LEASE, namespace=place) is None:
            meta = {"name": names.HEARTBEAT_LEASE, "labels": {names.HOST_LABEL: name}}
            self.api.create(LEASES, {"metadata": meta, "spec": spec}, namespace=place)
        else:
            self.api.patch(LEASES, names.HEARTBEAT_LEASE, {"spec": spec}, namespace=place)

    def reason(self, name: str) -> str | None:
        """The reason of the Host's Ready, as the API server has it."""
        found = self.condition(name, "Ready")
        return found["reason"] if found else None

    def condition(self, name: str, kind: str) -> dict[str, Any] | None:
        """A condition of a Host, as the API server has it."""
        host = self.api.get(HOSTS, name) or {}
        conditions = host.get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), None)

    async def pass_time(self, seconds: int, *, beating: tuple[str, ...] = ()) -> None:
        """Let time pass second by second; agents of `beating` renew their Leases, and all that follows happens."""
        for _ in range(seconds):
            for name in beating:
                self.beat(name)
            self.pulse()
            await self.seen()
            self.clock.advance(1)
            await settled(self._doings, for_s=0.05)

    def _doings(self) -> tuple[int, int, int]:
        """What changes while anything goes on: calls, those that were answered, and who lay down to sleep."""
        return len(self.api.calls), sum(each.status != 0 for each in self.api.calls), self.clock.slept

    async def seen(self) -> None:
        """Wait until the Leases are known as they are, unless the watch is cut off."""
        known = self.watches.leases.informer.objects

        def are_known() -> bool:
            newest = {
                (each["metadata"]["namespace"], each["metadata"]["name"]): each["metadata"]["resourceVersion"]
                for each in self.api.objects(LEASES)
            }
            return newest == {key: each.metadata.resource_version for key, each in known.items()}

        if not self.api.faults.silent:
            await eventually(are_known)

    def pulse(self) -> None:
        """The operator's own sign of life on the watch of Leases; it is seen unless the watch is cut off."""
        spec = {"renewTime": f"{self.clock.monotonic()}"}
        self.api.patch(LEASES, "pulse", {"spec": spec}, namespace=names.SYSTEM_NAMESPACE)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A Cluster `c`, and the flows of hosts."""
    clock, subset = ManualClock(), Subset()
    async with FakeApi() as api, Client(api.credentials()) as client:
        api.create(CLUSTERS, {"metadata": {"name": "c"}, "spec": {"network": {"bridge": "br0"}}})
        meta = {"name": "pulse", "labels": {names.HOST_LABEL: ""}}
        api.create(LEASES, {"metadata": meta, "spec": {}}, namespace=names.SYSTEM_NAMESPACE)
        watches = Watches(client, clock=clock, subset=subset)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(watch.informer.run()) for watch in watches.all]
            await watches.synced()
            statuses = _statuses(client, subset, watches, clock)
            looks: list[str] = []
            flow = _flow(client, subset, watches, clock, looks=looks)
            tasks += [group.create_task(work.run()) for work in (statuses, flow)]
            yield Scene(api, clock, subset, watches, statuses, looks)
            for task in tasks:
                task.cancel()


def _flow(
    client: Client, subset: Subset, watches: Watches, clock: ManualClock, *, looks: list[str]
) -> HostFlow:
    def certificate(host: str, agent: HostAgent | None) -> str | None:
        looks.append(host)
        return as_it_is(host, agent)

    flow = HostFlow(
        client,
        subset=subset,
        identities=Identities(
            namespaces=watches.namespaces.informer.objects,
            accounts=watches.accounts.informer.objects,
            roles=watches.roles.informer.objects,
            bindings=watches.bindings.informer.objects,
        ),
        queue=LatestQueue(clock),
        order_keys=[KEY],
        assume=watches.assume,
        certificate=certificate,
    )
    watches.follow_hosts(flow)
    return flow


def _statuses(client: Client, subset: Subset, watches: Watches, clock: ManualClock) -> HostStatuses:
    statuses = HostStatuses(
        client,
        subset=subset,
        silence=Silence(limit_s=40),
        lease_age_s=watches.leases.informer.age_s,
        clock=clock,
        delay_s=10,
    )
    watches.follow_host_statuses(statuses)
    return statuses
