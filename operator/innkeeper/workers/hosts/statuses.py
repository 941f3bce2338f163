"""The statuses of Hosts: rendered from the newest view, Ready at once, counters within seconds.

It also listens: each second it looks which hosts are heard. A Lease of the operator's own (the pulse) goes through the
same watch as the hosts' Leases, so a quiet watch means that we are deaf, however many hosts there are.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from innkeeper.clock import Clock
from innkeeper.domain import names
from innkeeper.domain.reasons import ConditionType, HostReason
from innkeeper.kube.client import Client
from innkeeper.kube.conditions import find
from innkeeper.kube.informer import Change, Key
from innkeeper.kube.lease import Heartbeat
from innkeeper.kube.resources import HOSTS
from innkeeper.kube.status_writer import StatusWriter
from innkeeper.kube.views import Lease
from innkeeper.state.subset import Subset
from innkeeper.views.assignment import Assignment
from innkeeper.views.catalog import Cluster
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host, HostAgent
from innkeeper.workers.hosts import projection
from innkeeper.workers.hosts.projection import HostFacts
from innkeeper.workers.hosts.silence import Hearing, Silence

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
PULSE_LEASE = "innkeeper-operator-pulse"
PULSE_S = 5.0


def pulse(client: Client, *, namespace: str, identity: str, clock: Clock) -> Heartbeat:
    """Return the operator's own heartbeat; its label, without a host's name, lets the watch of heartbeats see it."""
    return Heartbeat(
        client,
        namespace=namespace,
        name=PULSE_LEASE,
        identity=identity,
        clock=clock,
        period_s=PULSE_S,
        labels={names.HOST_LABEL: ""},
    )


class HostStatuses:
    """Keeps the statuses of Hosts."""

    def __init__(
        self,
        client: Client,
        *,
        subset: Subset,
        silence: Silence,
        lease_age_s: Callable[[], float],
        clock: Clock,
        delay_s: float,
    ) -> None:
        self._subset = subset
        self._silence = silence
        self._lease_age_s = lease_age_s
        self._clock = clock
        self._writer = StatusWriter(
            client,
            HOSTS,
            clock=clock,
            render=self.render,
            read=lambda key: subset.hosts.get(key[1]),
            written=subset.assume,
            delay_s=delay_s,
        )

    def give_way(self, busy: Callable[[], bool]) -> None:
        """Let counters wait longer while there is work that matters more to the API server."""
        self._writer.give_way(busy)

    async def run(self) -> None:
        """Listen and write for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run())
            group.create_task(self._listen())

    # What wakes it

    def host_changed(self, change: Change[Host]) -> None:
        """Look at a Host that changed."""
        name = change.key[1]
        if change.new is None:
            self._silence.forget(name)
            return
        had_reported = change.old is not None and change.old.status.store_id is not None
        if not had_reported and change.new.status.store_id is not None:
            # A first report is a sign of life, even where no heartbeat ever follows it.
            ready = find(change.new.status.conditions, ConditionType.READY)
            self._silence.expect(name, was_silent=ready is not None and ready.reason == HostReason.SILENT)
        self.touch(name)

    def agent_changed(self, change: Change[HostAgent]) -> None:
        """Look at the host whose report changed."""
        self._touch_place(change)

    def lease_changed(self, change: Change[Lease]) -> None:
        """Note a sign of life."""
        host = names.host_of_namespace(change.key[0])
        if host is None or change.new is None or change.key[1] != names.HEARTBEAT_LEASE:
            return
        before = self._silence.hearing(host)
        self._silence.beat(host, change.new.spec.renew_time or "")
        if self._silence.hearing(host) is not before:
            log.info("host_heard", host=host, before=before)
            self.touch(host)

    def assignment_changed(self, change: Change[Assignment]) -> None:
        """A host that goes says how many orders are left; a guest without an object is where its order is."""
        host = names.host_of_namespace(change.key[0])
        found = self._subset.hosts.get(host or "")
        if found is None:
            return
        if found.metadata.deletion_timestamp is not None:
            self._touch_place(change)
        elif change.key[1] not in self._subset.guest_keys:
            self._writer.touch(("", found.metadata.name))

    def guest_changed(self, change: Change[Guest]) -> None:
        """Count the guests of hosts."""
        before = change.old.status.host if change.old else None
        after = change.new.status.host if change.new else None
        if before != after:
            for host in (before, after):
                if host in self._subset.hosts:
                    self._writer.touch(("", host))  # counters only: Ready does not depend on guests

    def cluster_changed(self, change: Change[Cluster]) -> None:
        """Look at the hosts of a Cluster that came or went."""
        if change.old is not None and change.new is not None:
            return
        for name, host in self._subset.hosts.items():
            if host.spec.cluster == change.key[1]:
                self.touch(name)

    def touch(self, name: str) -> None:
        """Have a status looked at: at once where Ready differs, else when counters are due."""
        host = self._subset.hosts.get(name)
        if host is None:
            return
        ready = find(host.status.conditions, ConditionType.READY)
        wanted = projection.readiness(host, self.facts(host))
        same = ready is not None and (ready.status, ready.reason) == (wanted.status, wanted.reason)
        told = find(host.status.conditions, ConditionType.MAINTENANCE) is not None
        self._writer.touch(("", name), urgent=not same or told is not host.spec.maintenance)

    def _touch_place(self, change: Change[Any]) -> None:
        host = names.host_of_namespace(change.key[0])
        if host is not None:
            self.touch(host)

    # What it knows

    def facts(self, host: Host) -> HostFacts:
        """Return what is known of a host beside its own object."""
        name = host.metadata.name
        leaving = host.metadata.deletion_timestamp is not None
        return HostFacts(
            agent=self._subset.host_agents.get(name),
            cluster_exists=host.spec.cluster in self._subset.clusters,
            hearing=self._silence.hearing(name),
            guests=self._subset.promises.count(name),
            guest_names=self._guest_names(name) if host.spec.maintenance else (),
            promised=self._subset.promises.of_host(name),
            assignments=len(self._subset.assignments_of_host(name)) if leaving else 0,
        )

    def _guest_names(self, host: str) -> tuple[str, ...]:
        bound = [(each.metadata.namespace, each.metadata.name) for each in self._subset.guests_of_host(host)]
        # A guest that was deleted by force has no object any more, but may still run here.
        held = [
            (each.spec.guest.namespace, each.spec.guest.name)
            for each in self._subset.assignments_of_host(host)
            if each.spec.guest_id not in self._subset.guest_keys
            and self._subset.promises.host_of(each.spec.guest_id) == host
        ]
        return tuple(f"{namespace}/{name}" for namespace, name in (*bound, *held))

    def render(self, key: Key) -> Mapping[str, Any] | None:
        """Return the patch that makes a Host's status true, or None where it is."""
        host = self._subset.hosts[key[1]]
        wanted = projection.host_status(host, self.facts(host), now=self._clock.now())
        return projection.patch_of(host.status, wanted)

    async def _listen(self) -> None:
        while True:
            self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Let the listening clock go on, and have the hosts looked at whose hearing changed."""
        for name in self._silence.look(self._clock.monotonic(), watch_age_s=self._lease_age_s()):
            hearing = self._silence.hearing(name)
            if hearing is not Hearing.HEARD:
                log.warning("host_not_heard", host=name, hearing=hearing)
            self.touch(name)
