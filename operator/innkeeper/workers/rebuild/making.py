"""Writes what is missing. Each write is create-if-absent or guarded, so it may be ended anywhere and run again.

Calls that the API server could not answer are made again a few times; an object that it refuses as it is becomes a
finding, and the others are made all the same.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from innkeeper.clock import Clock, rfc3339
from innkeeper.domain import names
from innkeeper.domain.addressing.claim import is_held_by
from innkeeper.domain.lifecycle.revival import HeldOrder, NotRevivableError
from innkeeper.domain.orders import Rank
from innkeeper.domain.rebuild import documents
from innkeeper.domain.rebuild.adoption import may_take_over, take_over
from innkeeper.domain.rebuild.choice import Choice
from innkeeper.domain.rebuild.findings import Finding, FindingKind, rank_text
from innkeeper.domain.rebuild.lack import Lack, Present, places_of
from innkeeper.kube.client import Client
from innkeeper.kube.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    NotFoundError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
)
from innkeeper.kube.resources import (
    ASSIGNMENTS,
    CLUSTERS,
    FLAVORS,
    GUESTS,
    HOSTS,
    IP_ADDRESSES,
    NAMESPACES,
    Resource,
)
from innkeeper.state.subset import guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.meta import View
from innkeeper.workers.rebuild.patience import patiently
from innkeeper.workers.rebuild.pool import for_each
from innkeeper.workers.revival import NameTakenError, Revival

log = structlog.get_logger(__name__)

WORKERS = 48
_AWAY = (UnavailableError, ThrottledError, UnauthorizedError)  # nothing can be written at all


class Making:
    """One run. `made` counts what was written by kind, `findings` tells what could not be."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        assume: Callable[[View], None] = lambda _: None,
        workers: int = WORKERS,
    ) -> None:
        self.made: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self._client = client
        self._clock = clock
        self._assume = assume
        self._workers = workers
        self._revival = Revival(client, assume=assume)

    async def make(
        self, lack: Lack, choice: Choice, present: Present, *, done: Callable[[], None] = lambda: None
    ) -> None:
        """Make everything that is missing; `done` is told of each guest.

        Raises:
            ApiError: the API server is away, or knows us no more; the next run goes on from there.
        """
        await for_each(lack.ended, self._end, workers=self._workers)
        await for_each(self._places(lack, choice), self._create, workers=self._workers)
        clusters = {**{host: each.cluster for host, each in choice.hosts.items()}, **present.hosts}

        async def revive(held: HeldOrder) -> None:
            await self._revive(held, clusters, present)
            done()

        await for_each(lack.guests, revive, workers=self._workers)
        await for_each(lack.superseded, self._assign, workers=self._workers)

    @staticmethod
    def _places(lack: Lack, choice: Choice) -> list[tuple[Resource[Any], Mapping[str, Any]]]:
        """Return what guests stand in and refer to."""
        return [
            *((NAMESPACES, documents.namespace_document(each)) for each in lack.namespaces),
            *((NAMESPACES, documents.host_namespace_document(each)) for each in lack.host_namespaces),
            *((CLUSTERS, documents.cluster_document(each, choice.clusters[each])) for each in lack.clusters),
            *((HOSTS, documents.host_document(each, choice.hosts[each])) for each in lack.hosts),
            *((FLAVORS, documents.flavor_document(each, choice.flavors[each])) for each in lack.flavors),
        ]

    async def _create(self, wanted: tuple[Resource[Any], Mapping[str, Any]]) -> None:
        resource, body = wanted

        async def create() -> None:
            try:
                self._assume_if_watched(await self._client.create(resource, body))
            except AlreadyExistsError:
                return
            self.made[resource.kind] += 1

        try:
            await patiently(create, self._clock)
        except _AWAY:
            raise
        except ApiError as error:
            name = body["metadata"]["name"]
            message = f"the {resource.kind} {name} cannot be made: {error.message}"
            self.findings.append(Finding(kind=FindingKind.NOT_MADE, host="", subject=name, message=message))

    def _assume_if_watched(self, view: View) -> None:
        # The operator watches namespaces of hosts only, and takes its own answers as news of what it watches.
        if names.REBUILT_LABEL not in _labels(view):
            self._assume(view)

    async def _revive(self, held: HeldOrder, clusters: Mapping[str, str], present: Present) -> None:
        order = held.order
        cluster = clusters.get(order.host)
        if cluster is None:
            self._not_revived(held, f"it is not known which Cluster host {order.host} is of")
            return
        places = places_of(order, present.pools)

        async def revive() -> Guest:
            try:
                guest = await self._revival.make_guest(order)
            except NameTakenError:
                guest = await self._take_over(held)
            return await self._revival.complete(guest, held, cluster=cluster, places=places)

        try:
            await patiently(revive, self._clock)
        except NotRevivableError as error:
            self._not_revived(held, error.message)
        except _AWAY:
            raise
        except ApiError as error:
            self._not_revived(held, f"the API server refuses it: {error.message}")
        else:
            self.made[GUESTS.kind] += 1

    async def _assign(self, held: HeldOrder) -> None:
        """Give a former host its Assignment back, so that a deletion of the Guest reaches the disk there too."""
        try:
            await patiently(lambda: self._revival.assign(held), self._clock)
        except _AWAY:
            raise
        except ApiError as error:
            order = held.order
            message = (
                f"the Assignment of {order.guest_id} for host {order.host} cannot be made: {error.message}"
            )
            self.findings.append(
                Finding(kind=FindingKind.NOT_MADE, host=order.host, subject=order.guest_id, message=message)
            )
        else:
            self.made[ASSIGNMENTS.kind] += 1

    async def _take_over(self, held: HeldOrder) -> Guest:
        """Give a Guest that somebody applied anew, and that stands for nothing yet, the identity of the one that runs.

        Raises:
            NameTakenError: it is another one.
        """
        order = held.order
        guest = await self._client.get(GUESTS, order.name, namespace=order.namespace)
        if not may_take_over(guest, order):
            raise NameTakenError(
                f"another Guest has the name {order.namespace}/{order.name}: delete it, and run this again"
            )
        taken = await self._client.patch(
            GUESTS,
            order.name,
            take_over(guest, order),
            namespace=order.namespace,
            resource_version=guest.metadata.resource_version,
            uid=guest.metadata.uid,
        )
        self._assume(taken)
        return taken

    async def _end(self, ended: tuple[Guest, Rank]) -> None:
        """Note on a Guest that the guest was destroyed, and let its addresses rest: somebody may have them since."""
        guest, rank = ended
        mark = {"metadata": {"annotations": {names.DESTROYED_ANNOTATION: rank_text(rank)}}}
        metadata = guest.metadata

        async def note() -> None:
            try:
                written = await self._client.patch(
                    GUESTS, metadata.name, mark, namespace=metadata.namespace, uid=metadata.uid
                )
            except (NotFoundError, ConflictError):
                return  # it is gone, or another one has its name
            self._assume(written)
            self.made["Destroyed"] += 1

        try:
            await patiently(note, self._clock)
            await patiently(lambda: self._release(guest), self._clock)
        except _AWAY:
            raise
        except ApiError as error:
            self._not_ended(guest, rank, error.message)

    async def _release(self, guest: Guest) -> None:
        guest_id = guest_id_of(guest)
        selector = f"{names.GUEST_ID_LABEL}={guest_id}"
        for claim in (await self._client.list(IP_ADDRESSES, label_selector=selector)).items:
            if not is_held_by(claim, guest_id):
                continue
            change = {
                "metadata": {"labels": {names.GUEST_ID_LABEL: None}},
                "spec": {"owner": None, "releasedAt": rfc3339(self._clock.now())},
            }
            written = await self._client.patch(
                IP_ADDRESSES,
                claim.metadata.name,
                change,
                resource_version=claim.metadata.resource_version,
                uid=claim.metadata.uid,
            )
            self._assume(written)

    def _not_ended(self, guest: Guest, rank: Rank, why: str) -> None:
        name = f"{guest.metadata.namespace}/{guest.metadata.name}"
        message = (
            f"{name} was destroyed by the order {rank_text(rank)}, and its Guest, which is there, cannot be changed to "
            f"say so: {why}. Delete that Guest, or it may be built anew"
        )
        log.warning("guest_not_ended", guest=guest_id_of(guest), message=why)
        self.findings.append(
            Finding(
                kind=FindingKind.NOT_ENDED,
                host=guest.status.host or "",
                subject=guest_id_of(guest),
                message=message,
            )
        )

    def _not_revived(self, held: HeldOrder, why: str) -> None:
        order = held.order
        message = (
            f"{order.namespace}/{order.name}, which runs on host {order.host}, cannot be made anew: {why}"
        )
        log.warning("guest_not_revived", guest=order.guest_id, host=order.host, message=why)
        self.findings.append(
            Finding(kind=FindingKind.NOT_REVIVED, host=order.host, subject=order.guest_id, message=message)
        )


def _labels(view: View) -> Mapping[str, str]:
    metadata = getattr(view, "metadata", None)
    return metadata.labels if metadata is not None else {}
