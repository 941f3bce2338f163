"""Makes the objects of a guest anew from the order that its host holds: Guest, claims, binding, Assignment.

The guest itself is not touched: nothing restarts, and it keeps its addresses. Each write is create-if-absent or guarded,
and they are in an order in which a kill between any two leaves what the next run completes: the Guest comes first, with
its Guest ID, its finalizer and a mark that keeps it from being placed anew. Which orders are good is the caller's part.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from innkeeper.domain import names
from innkeeper.domain.addressing.claim import is_held_by
from innkeeper.domain.lifecycle.holder import holder_of_address
from innkeeper.domain.lifecycle.revival import (
    HeldOrder,
    NotRevivableError,
    Places,
    binding_of,
    claim_documents,
    guest_document,
    held_assignment_document,
    image_of,
)
from innkeeper.domain.orders import Order
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ConflictError, NotFoundError
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS, IP_ADDRESSES
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.views.meta import View
from innkeeper.views.network import IPAddress
from innkeeper.workers.binding import write_facts
from innkeeper.workers.claim_writes import change_claim, is_kept_for, kept_for
from innkeeper.workers.creation import create_or_get

log = structlog.get_logger()


class NameTakenError(NotRevivableError):
    """A Guest of that name is there, and it is another one."""

    reason = "NameTaken"


class AddressHeldError(NotRevivableError):
    """Another guest holds an address that this one uses."""

    reason = "AddressHeld"


class BoundOtherwiseError(NotRevivableError):
    """The Guest is bound to another host, or was and is to be placed anew."""

    reason = "BoundOtherwise"


class Revival:
    """Revives one guest at a time. `assume` takes what each write answers."""

    def __init__(self, client: Client, *, assume: Callable[[View], None] = lambda _: None) -> None:
        self._client = client
        self._assume = assume

    async def revive(self, held: HeldOrder, *, cluster: str, places: Places | None = None) -> Guest:
        """Make everything of a guest that is not there yet, and return its Guest.

        Raises:
            NotRevivableError: something else is in the way; its message says what. Nothing was bound.
            ApiError: the API server refused, or is away; the next call goes on from there.
        """
        guest = await self.make_guest(held.order)
        return await self.complete(guest, held, cluster=cluster, places=places)

    async def make_guest(self, order: Order) -> Guest:
        """Create the Guest, or find that it was made before.

        Raises:
            NameTakenError: another Guest has the name.
            NotRevivableError: by this order its host has no guest; nothing was written.
            ApiError: the API server refused, or is away.
        """
        image_of(order)
        guest = await create_or_get(self._client, GUESTS, guest_document(order), namespace=order.namespace)
        found = guest.metadata.annotations.get(names.ID_ANNOTATION) or guest.metadata.uid
        if found != order.guest_id:
            raise NameTakenError(
                f"the Guest {order.namespace}/{order.name} is another one (its ID is {found}): delete it, or remove "
                f"the guest {order.guest_id} from its host"
            )
        self._assume(guest)
        return guest

    async def complete(
        self,
        guest: Guest,
        held: HeldOrder,
        *,
        cluster: str,
        places: Places | None = None,
        claims: Iterable[IPAddress] | None = None,
    ) -> Guest:
        """Claim the addresses of a Guest that was made anew, bind it to where it runs, and give back its Assignment.

        `claims` is what `claim` returned, where the caller has called it, and nobody releases addresses since.

        Raises:
            NotRevivableError: something else is in the way; its message says what. Nothing was bound.
            ApiError: the API server refused, or is away; the next call goes on from there.
        """
        facts = binding_of(held.order, cluster=cluster, places=places)
        if claims is None:
            claims = await self.claim(held, places)
        bound = await self._bind(guest, held.order, facts)
        await self._keep_for_guest(claims, held.order.host)  # the last write tells that all others were made
        await self.assign(held)
        return bound

    async def _bind(self, guest: Guest, order: Order, facts: Mapping[str, Any]) -> Guest:
        """Write the binding, unless the Guest has it already.

        Epochs are given by the operator alone: a Guest of an earlier one comes from an older copy of the API server's
        store, and what its host shows was decided since.
        """
        if guest.status.epoch < order.epoch:
            guest = await write_facts(self._client, guest, facts)
            self._assume(guest)
            log.info("guest_revived", guest=order.guest_id, host=order.host)
        elif guest.status.host != order.host:
            raise BoundOtherwiseError(
                f"the Guest {order.namespace}/{order.name} is bound to {guest.status.host or 'no host'}, and the order "
                f"is of host {order.host}"
            )
        return guest

    async def claim(self, held: HeldOrder, places: Places | None = None) -> list[IPAddress]:
        """Hold every address of the order that no other guest holds, and return them.

        Raises:
            AddressHeldError: another guest holds one; the others were claimed.
            NotRevivableError: the pool of an address is not known; nothing was claimed.
            ApiError: the API server refused, or is away.
        """
        order, own, others = held.order, list[IPAddress](), list[IPAddress]()
        for body in claim_documents(order, places=places, since=held.since):
            claim = await create_or_get(self._client, IP_ADDRESSES, body)
            if _is_to_be_taken(claim, body["spec"]["owner"]):
                claim = await self._take(claim, body)
            self._assume(claim)
            (own if is_held_by(claim, order.guest_id) else others).append(claim)
        if others:
            raise _held_by_another(others[0], order)
        return own

    async def _take(self, claim: IPAddress, body: Mapping[str, Any]) -> IPAddress:
        """Give a claim to the interface that uses the address; its quarantine ends, if it rests."""
        owner = dict(body["spec"]["owner"])
        if claim.spec.owner is not None and claim.spec.owner.since is not None:
            owner["since"] = claim.spec.owner.since
        change = {
            "metadata": {"labels": body["metadata"]["labels"]},
            "spec": {"owner": owner, "releasedAt": None},
        }
        return await change_claim(self._client, claim, change)

    async def keep_for_host(self, order: Order) -> None:
        """Note on what the order's guest holds that its host uses it, whatever becomes of Guest and Assignment.

        Raises:
            ApiError: the API server refused, or is away.
        """
        for claim in await claims_of(self._client, order.guest_id):
            if not is_kept_for(claim, order.host):
                self._assume(await change_claim(self._client, claim, kept_for(order.host)))

    async def _keep_for_guest(self, claims: Iterable[IPAddress], host: str) -> None:
        """Take off what `keep_for_host` noted: a Guest that is bound there stands behind them again.

        What another host may use stays noted, and so does what somebody wrote meanwhile.
        """
        for claim in claims:
            if not is_kept_for(claim, host):
                continue
            try:
                written = await change_claim(self._client, claim, kept_for(None))
            except (ConflictError, NotFoundError) as error:
                log.info("address_stays_kept", address=claim.metadata.name, host=host, reason=error.reason)
            else:
                self._assume(written)

    async def assign(self, held: HeldOrder) -> Assignment:
        """Give a host back the Assignment of the order that it holds, or find the one that is there.

        Raises:
            ApiError: the API server refused, or is away.
        """
        namespace = names.host_namespace(held.order.host)
        body = held_assignment_document(held)
        assignment = await create_or_get(self._client, ASSIGNMENTS, body, namespace=namespace)
        self._assume(assignment)
        return assignment


async def claims_of(client: Client, guest_id: str) -> list[IPAddress]:
    """Return what a guest holds, as the API server says.

    Raises:
        ApiError: the API server refused, or is away.
    """
    labelled = await client.list(IP_ADDRESSES, label_selector=f"{names.GUEST_ID_LABEL}={guest_id}")
    return [each for each in labelled.items if is_held_by(each, guest_id)]


def _is_to_be_taken(claim: IPAddress, owner: Mapping[str, Any]) -> bool:
    """Tell whether an address rests, which keeps it from everybody but the guest that still uses it.

    Or it is that guest's and names another interface, as in an older copy of the store.
    """
    if claim.spec.owner is None:
        return True
    guest_id, interface = owner["id"], owner["interface"]
    return is_held_by(claim, guest_id) and not is_held_by(claim, guest_id, interface=interface)


def _held_by_another(claim: IPAddress, order: Order) -> AddressHeldError:
    owner = claim.spec.owner
    holder = "nobody"
    if owner is not None:
        holder = holder_of_address(
            claim.spec.address,
            space=claim.spec.address_space,
            namespace=owner.namespace,
            name=owner.name,
            told_to=order.namespace,
        )
    return AddressHeldError(
        f"the address {claim.spec.address}, which {order.namespace}/{order.name} uses on host {order.host}, is held by "
        f"{holder}"
    )
