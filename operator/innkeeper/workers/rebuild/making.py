"""Writes what is missing: claims of addresses in use first, whatever becomes of the Guests that use them.

Each write is create-if-absent or guarded, so it may be ended anywhere and run again.
Calls that the API server could not answer are made again a few times; an object that it refuses as it is becomes a
finding, and the others are made all the same.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from innkeeper.clock import Clock
from innkeeper.domain import names
from innkeeper.domain.lifecycle.revival import HeldOrder, NotRevivableError
from innkeeper.domain.orders import Order
from innkeeper.domain.rebuild import documents
from innkeeper.domain.rebuild.adoption import may_take_over, take_over
from innkeeper.domain.rebuild.catching_up import CatchingUp
from innkeeper.domain.rebuild.choice import Choice
from innkeeper.domain.rebuild.findings import Finding, FindingKind
from innkeeper.domain.rebuild.lack import Ended, Lack, Present, places_of
from innkeeper.kube.client import Client
from innkeeper.kube.errors import (
    AlreadyExistsError,
    ApiError,
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
    NAMESPACES,
    Resource,
)
from innkeeper.state.subset import guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.meta import View
from innkeeper.views.network import IPAddress
from innkeeper.workers.rebuild.catching_up import Catching
from innkeeper.workers.rebuild.ending import Ending, not_ended
from innkeeper.workers.rebuild.patience import patiently
from innkeeper.workers.rebuild.pool import for_each
from innkeeper.workers.revival import AddressHeldError, NameTakenError, Revival

log = structlog.get_logger(__name__)

WORKERS = 48
_AWAY = (UnavailableError, ThrottledError, UnauthorizedError)  # nothing can be written at all


class Making:
    """One run. `made` counts what was written by kind, `findings` tells what could not be."""

    def __init__(
        self,
        client: Client,
        choice: Choice,
        present: Present,
        *,
        clock: Clock,
        assume: Callable[[View], None] = lambda _: None,
        workers: int = WORKERS,
    ) -> None:
        self.made: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self._client = client
        self._choice = choice
        self._present = present
        self._clock = clock
        self._assume = assume
        self._workers = workers
        self._revival = Revival(client, assume=assume)
        self._ending = Ending(client, choice, clock=clock, made=self.made, assume=assume)
        self._catching = Catching(client, clock=clock, made=self.made, assume=assume)
        self._unclaimed: set[str] = set()  # Guest IDs
        self._claimed: dict[
            str, list[IPAddress]
        ] = {}  # by Guest ID: all that a guest uses, claimed in this run

    async def make(self, lack: Lack, *, done: Callable[[], None] = lambda: None) -> None:
        """Make everything that is missing; `done` is told of each guest.

        Raises:
            ApiError: the API server is away, or knows us no more; the next run goes on from there.
        """
        await for_each(lack.ended, self._note_end, workers=self._workers)
        await for_each(lack.claims, self._claim, workers=self._workers)
        await for_each(lack.catching_up, self._bring, workers=self._workers)
        await for_each(self._places(lack), self._create, workers=self._workers)
        await for_each(lack.ending, self._give_back, workers=self._workers)
        settings = self._choice.hosts.items()
        clusters = {**{host: each.cluster for host, each in settings}, **self._present.hosts}

        async def revive(held: HeldOrder) -> None:
            await self._revive(held, clusters)
            done()

        await for_each(lack.guests, revive, workers=self._workers)
        await for_each(lack.superseded, self._assign, workers=self._workers)

    async def _claim(self, held: HeldOrder) -> None:
        """Claim what a guest uses, whatever will become of its objects: nobody else is given it then."""
        order = held.order
        places = places_of(order, self._present.pools)
        try:
            self._claimed[order.guest_id] = await patiently(
                lambda: self._revival.claim(held, places), self._clock
            )
        except AddressHeldError as error:
            log.warning("address_held", guest=order.guest_id, host=order.host, message=error.message)
        except _AWAY:
            raise
        except (NotRevivableError, ApiError) as error:
            self._unclaimed.add(order.guest_id)
            message = (
                f"an address of {order.namespace}/{order.name}, which host {order.host} holds, cannot be claimed: "
                f"{error.message}"
            )
            self._find(FindingKind.NOT_CLAIMED, order, message)

    def _places(self, lack: Lack) -> list[tuple[Resource[Any], Mapping[str, Any]]]:
        """Return what guests stand in and refer to."""
        choice = self._choice
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

    async def _revive(self, held: HeldOrder, clusters: Mapping[str, str]) -> None:
        order = held.order
        if order.guest_id in self._unclaimed:
            return  # it is told of; first of all its addresses must be its own
        cluster = clusters.get(order.host)
        if cluster is None:
            await self._not_revived(held, f"it is not known which Cluster host {order.host} is of")
            return
        places = places_of(order, self._present.pools)

        async def revive() -> Guest:
            try:
                guest = await self._revival.make_guest(order)
            except NameTakenError:
                guest = await self._in_place_of(held)
            claims = self._claimed.get(order.guest_id)
            return await self._revival.complete(guest, held, cluster=cluster, places=places, claims=claims)

        try:
            await patiently(revive, self._clock)
        except NotRevivableError as error:
            await self._not_revived(held, error.message)
        except _AWAY:
            raise
        except ApiError as error:
            await self._not_revived(held, f"the API server refuses it: {error.message}")
        else:
            self.made[GUESTS.kind] += 1

    async def _assign(self, held: HeldOrder) -> None:
        """Give a former host its Assignment back, so that a deletion of the Guest reaches the disk there too."""
        try:
            await patiently(lambda: self._revival.assign(held), self._clock)
        except _AWAY:
            raise
        except ApiError as error:
            self._not_assigned(held.order, error.message)
        else:
            self.made[ASSIGNMENTS.kind] += 1

    async def _give_back(self, held: HeldOrder) -> None:
        """Give a host the order to destroy back that it has not carried out."""
        try:
            await self._ending.give_back(held)
        except _AWAY:
            raise
        except ApiError as error:
            self._not_assigned(held.order, error.message)

    async def _in_place_of(self, held: HeldOrder) -> Guest:
        """Return the Guest of one that runs, where another Guest had its name.

        One that was deleted since the copy goes; one that somebody applied anew, and that stands for nothing yet, gets
        the identity of the one that runs.

        Raises:
            NameTakenError: it is another one, and stays.
        """
        order = held.order
        guest = await self._client.get(GUESTS, order.name, namespace=order.namespace)
        if self._ending.was_deleted(guest):
            await self._ending.finish(guest)
            return await self._revival.make_guest(order)
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

    async def _note_end(self, ended: Ended) -> None:
        try:
            await self._ending.note(ended)
        except _AWAY:
            raise
        except ApiError as error:
            log.warning("guest_not_ended", guest=guest_id_of(ended.guest), message=error.message)
            self.findings.append(not_ended(ended, error.message))

    async def _bring(self, found: CatchingUp) -> None:
        try:
            await self._catching.bring(found)
        except _AWAY:
            raise
        except ApiError as error:
            log.warning("guest_not_caught_up", guest=found.held.order.guest_id, message=error.message)
            self.findings.append(found.not_taken(error.message))

    def _not_assigned(self, order: Order, why: str) -> None:
        message = f"the Assignment of {order.guest_id} for host {order.host} cannot be made: {why}"
        self._find(FindingKind.NOT_MADE, order, message)

    async def _not_revived(self, held: HeldOrder, why: str) -> None:
        """Tell of it; its addresses are kept for its host until the guest has a Guest, or is no more."""
        order = held.order
        message = (
            f"{order.namespace}/{order.name}, which runs on host {order.host}, cannot be made anew: {why}"
        )
        log.warning("guest_not_revived", guest=order.guest_id, host=order.host, message=why)
        self._find(FindingKind.NOT_REVIVED, order, message)
        try:
            await patiently(lambda: self._revival.keep_for_host(order), self._clock)
        except _AWAY:
            raise
        except ApiError as error:
            message = (
                f"the addresses of {order.guest_id} cannot be kept for host {order.host}: {error.message}"
            )
            self._find(FindingKind.NOT_CLAIMED, order, message)

    def _find(self, kind: FindingKind, order: Order, message: str) -> None:
        self.findings.append(Finding(kind=kind, host=order.host, subject=order.guest_id, message=message))


def _labels(view: View) -> Mapping[str, str]:
    metadata = getattr(view, "metadata", None)
    return metadata.labels if metadata is not None else {}
