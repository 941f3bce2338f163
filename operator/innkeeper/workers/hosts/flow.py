"""The flow of hosts: each Host gets its namespace, identity and orders, keeps them, and loses them when it goes.

What somebody deletes is made again: a namespace in a host's name is the host's, and guests run on without it. Each pass
looks at the newest view and makes the writes that are missing, so it may stop anywhere and be run again.

A lost host's identity is revoked at once. A deleted Host is let go when no guest and no order of it is left, or when it
is lost; its namespace goes first.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from innkeeper.domain import names
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError, ConflictError, NotFoundError, ThrottledError
from innkeeper.kube.informer import Change, Key, metadata_of
from innkeeper.kube.queue import LatestQueue
from innkeeper.kube.resources import HOSTS, NAMESPACES
from innkeeper.kube.views import Named, Namespace, Role, RoleBinding
from innkeeper.state.subset import Subset
from innkeeper.views.assignment import Assignment
from innkeeper.views.catalog import Cluster
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host, HostAgent, OrderKey
from innkeeper.views.meta import View
from innkeeper.workers.hosts import identity
from innkeeper.workers.hosts.identity import Known, Write

log = structlog.get_logger(__name__)

PROMISED_AGAIN_S = 1.0


Certificate = Callable[[str, HostAgent | None], str | None]
"""Which certificate (PEM) a host should have, by its name and what is there of its HostAgent."""


def as_it_is(_: str, agent: HostAgent | None) -> str | None:
    """Return the certificate that the host has: nobody here signs another."""
    return agent.spec.certificate if agent is not None else None


@dataclass(frozen=True)
class Identities:
    """The watched objects that identities are made of."""

    namespaces: Mapping[Key, Namespace]
    accounts: Mapping[Key, Named]
    roles: Mapping[Key, Role]
    bindings: Mapping[Key, RoleBinding]

    def known(self, host: str, orders: HostAgent | None) -> Known:
        """Return what is there of one host's identity."""
        place = names.host_namespace(host)
        key = (place, names.AGENT_SERVICE_ACCOUNT)
        return Known(
            namespace=self.namespaces.get(("", place)),
            account=self.accounts.get(key),
            role=self.roles.get(key),
            binding=self.bindings.get(key),
            orders=orders,
        )


class HostFlow:
    """Makes, keeps and ends the identities of hosts."""

    def __init__(
        self,
        client: Client,
        *,
        subset: Subset,
        identities: Identities,
        queue: LatestQueue[str],
        order_keys: list[OrderKey],
        assume: Callable[[View], None],
        certificate: Certificate = as_it_is,
        workers: int = 4,
    ) -> None:
        self._client = client
        self._subset = subset
        self._identities = identities
        self._queue = queue
        self._order_keys = order_keys
        self._assume = assume
        self._certificate = certificate
        self._workers = workers

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    # What wakes it

    def host_changed(self, change: Change[Host]) -> None:
        """Look at a Host that changed."""
        self._queue.add(change.key[1])

    def part_changed(self, change: Change[Any]) -> None:
        """Look at the host whose namespace, or an object in it, changed."""
        namespace, name = change.key
        host = names.host_of_namespace(namespace or name)
        if host is not None:
            self._queue.add(host)

    def assignment_changed(self, change: Change[Assignment]) -> None:
        """A host that goes waits for its last order to vanish."""
        if change.new is None:
            self.part_changed(Change(change.key, None, None))

    def guest_changed(self, change: Change[Guest]) -> None:
        """A host that goes waits for its last guest to vanish."""
        before = change.old.status.host if change.old else None
        after = change.new.status.host if change.new else None
        if before is not None and before != after:
            self._queue.add(before)

    def cluster_changed(self, change: Change[Cluster]) -> None:
        """The orders of all hosts of a Cluster follow its network, and nothing else of it."""
        old, new = change.old, change.new
        if old is not None and new is not None and old.spec.network == new.spec.network:
            return  # its counters change every few seconds while guests are built, and it may have thousands of hosts
        for name, host in self._subset.hosts.items():
            if host.spec.cluster == change.key[1]:
                self._queue.add(name)

    # What it does

    async def _work(self) -> None:
        while True:
            name = await self._queue.take()
            try:
                await self.reconcile(name)
            except ConflictError:
                self._queue.failed(name)  # somebody was faster: soon the newer version is here
            except ThrottledError as error:
                self._queue.failed(name, at_least_s=error.retry_after_s)
            except InnkeeperError as error:
                log.warning("host_failed", host=name, reason=error.reason, message=error.message)
                self._queue.failed(name)
            except Exception:
                log.exception("host_broke", host=name)
                self._queue.failed(name)
            else:
                self._queue.done(name)

    async def reconcile(self, name: str) -> None:
        """Bring one host's identity to what it should be.

        Raises:
            ApiError: the API server refused, or is away; the next pass goes on from there.
        """
        host = self._subset.hosts.get(name)
        if host is None:
            return
        known = self._identities.known(name, self._subset.host_agents.get(name))
        if host.metadata.deletion_timestamp is not None:
            await self._let_go(host, known)
        elif names.HOST_FINALIZER not in host.metadata.finalizers:
            await self._set_finalizers(host, [*host.metadata.finalizers, names.HOST_FINALIZER])
        elif host.spec.lost is not None:
            await self._write_all(identity.revoked(name, known))
        elif not identity.is_leaving(known.namespace):
            await self._write_all(identity.missing(name, known, orders=self._orders(host)))

    def _orders(self, host: Host) -> dict[str, object] | None:
        cluster = self._subset.clusters.get(host.spec.cluster)
        if cluster is None:
            return None
        name = host.metadata.name
        return identity.host_orders(
            host,
            network=cluster.spec.network,
            keys=self._order_keys,
            certificate=self._certificate(name, self._subset.host_agents.get(name)),
        )

    async def _let_go(self, host: Host, known: Known) -> None:
        name = host.metadata.name
        if names.HOST_FINALIZER not in host.metadata.finalizers:
            return
        if host.spec.lost is None and self._is_needed(name):
            # Its guests are still there: its agent must be able to hear that they are to go.
            if not identity.is_leaving(known.namespace):
                await self._write_all(identity.missing(name, known, orders=self._orders(host)))
            return
        if host.spec.lost is None and self._subset.promises.count(name):
            # A guest is being bound to it: soon there is a binding, which nothing but a watch of guests tells, or none.
            self._queue.add(name, after_s=PROMISED_AGAIN_S)
            return
        await self._write_all(identity.revoked(name, known))
        if known.namespace is None:
            rest = [each for each in host.metadata.finalizers if each != names.HOST_FINALIZER]
            await self._set_finalizers(host, rest)
            log.info("host_let_go", host=name)
        elif not identity.is_leaving(known.namespace):
            await self._delete(
                Write(resource=NAMESPACES, name=names.host_namespace(name), seen=known.namespace)
            )

    def _is_needed(self, name: str) -> bool:
        return bool(self._subset.guests_of_host(name) or self._subset.assignments_of_host(name))

    async def _set_finalizers(self, host: Host, finalizers: list[str]) -> None:
        try:
            answer = await self._client.patch(
                HOSTS,
                host.metadata.name,
                {"metadata": {"finalizers": finalizers}},
                resource_version=host.metadata.resource_version,
                uid=host.metadata.uid,
            )
        except NotFoundError:
            return
        if finalizers:
            self._assume(answer)

    async def _write_all(self, writes: identity.Writes) -> None:
        for write in writes:
            if write.body is None:
                await self._delete(write)
            else:
                await self._write(write)

    async def _write(self, write: Write) -> None:
        answer = await (self._make(write) if write.seen is None else self._change(write, write.seen))
        self._assume(answer)
        log.info("host_part_written", kind=write.resource.kind, name=write.name, namespace=write.namespace)

    async def _make(self, write: Write) -> View:
        try:
            return await self._client.create(write.resource, write.body or {}, namespace=write.namespace)
        except AlreadyExistsError:
            # It is there without our label, or our view is behind; either way this makes it ours, as it is now.
            seen = await self._client.get(write.resource, write.name, namespace=write.namespace)
            return await self._change(write, seen)

    async def _change(self, write: Write, seen: View) -> View:
        answer: View = await self._client.patch(
            write.resource,
            write.name,
            write.body or {},
            namespace=write.namespace,
            resource_version=metadata_of(seen).resource_version,
            uid=metadata_of(seen).uid,
        )
        return answer

    async def _delete(self, write: Write) -> None:
        seen = metadata_of(write.seen) if write.seen is not None else None
        try:
            await self._client.delete(
                write.resource, write.name, namespace=write.namespace, uid=seen.uid if seen else None
            )
        except (NotFoundError, ConflictError):
            return  # gone, or another one of that name: the watch tells, and this host is looked at again
        log.info("host_part_deleted", kind=write.resource.kind, name=write.name, namespace=write.namespace)
