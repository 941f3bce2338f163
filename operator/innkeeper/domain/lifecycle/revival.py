"""What a guest's objects are when they are made anew: Guest, binding, claims and Assignment from a signed order alone.

A host that runs a guest holds the order for it, so the order is enough. Pure: whether the order's signature is good, and
whether the guest should be revived at all, is the caller's part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from innkeeper.domain import names
from innkeeper.domain.addressing.claim import claim_document
from innkeeper.domain.lifecycle.binding import binding
from innkeeper.domain.lifecycle.ordering import assignment_document, assignment_spec
from innkeeper.domain.orders import Order, OrderAddress, OrderImage
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import Desired
from innkeeper.errors import TerminalError
from innkeeper.views.guest import Guest, GuestAddress
from innkeeper.views.network import AddressOwner

# Interface and address -> address space and pool: of two interfaces each may have the same address in a space of its own.
Places = Mapping[tuple[str, str], tuple[str, str]]


class NotRevivableError(TerminalError):
    """No Guest can be made from this order."""

    reason = "NotRevivable"


@dataclass(frozen=True, kw_only=True)
class HeldOrder:
    """An order that is known to be ours: read, and as it was signed. Its host promised to run the guest at `since`."""

    order: Order
    text: str
    since: str | None = None


def is_unbound_revival(guest: Guest) -> bool:
    """Tell whether a Guest was made anew and does not say yet where it runs: it may be placed nowhere else."""
    revived = names.REVIVED_FROM_ANNOTATION in guest.metadata.annotations
    return revived and guest.status.host is None and guest.status.epoch == 0


def guest_document(order: Order) -> dict[str, Any]:
    """Return the Guest to create: under its own Guest ID, with the finalizer, and the mark of whose order it is.

    A pipeline takes it for its own again only by applying it: else it might prune a guest that runs, because what it
    applied long ago is not in its repository any more.
    """
    marks = {names.ID_ANNOTATION: order.guest_id, names.REVIVED_FROM_ANNOTATION: order.host}
    return {
        "metadata": {
            "name": order.name,
            "namespace": order.namespace,
            "labels": _without(order.labels, names.ARGO_INSTANCE_LABEL),
            "annotations": {**_without(order.annotations, names.ARGO_TRACKING_ANNOTATION), **marks},
            "finalizers": [names.GUEST_FINALIZER],
        },
        "spec": msgspec.to_builtins(order.spec),
    }


def binding_of(order: Order, *, cluster: str, places: Places | None = None) -> dict[str, Any]:
    """Return the facts of the Guest's status; `places` as for `claim_documents`.

    Raises:
        NotRevivableError: by the order no guest is there, or the pool of an address is not known.
    """
    taken = order.resources
    addresses = [
        GuestAddress(
            interface=each.interface,
            pool=_place(order, each, places)[1],
            address=each.address,
            mac=each.mac,
        )
        for each in order.addresses
    ]
    return binding(
        order.guest_id,
        host=order.host,
        cluster=cluster,
        epoch=order.epoch,
        addresses=addresses,
        image=image_of(order),
        amounts=Amounts(taken.cpu_millis, taken.memory_bytes, taken.disk_bytes),
    )


def claim_documents(
    order: Order, *, places: Places | None = None, since: str | None = None
) -> list[dict[str, Any]]:
    """Return the IPAddresses to create; `since` is from when on the guest holds them, where it is known.

    `places` gives address space and pool of addresses for orders of an older version, which do not name them.

    Raises:
        NotRevivableError: the pool of an address is not known.
    """
    found = []
    for each in order.addresses:
        space, pool = _place(order, each, places)
        owner = AddressOwner(
            id=order.guest_id,
            namespace=order.namespace,
            name=order.name,
            interface=each.interface,
            since=since,
        )
        found.append(claim_document(each.address, pool=pool, space=space, owner=owner))
    return found


def held_assignment_document(held: HeldOrder) -> dict[str, Any]:
    """Return the Assignment that carries the very order that the host holds already."""
    order = held.order
    digest = order.image.digest if order.image else ""
    return assignment_document(order, assignment_spec(order, held.text, image_digest=digest))


def _without(marks: Mapping[str, str], left_out: str) -> dict[str, str]:
    return {key: value for key, value in marks.items() if key != left_out}


def image_of(order: Order) -> OrderImage:
    """Return what the guest of an order was made from.

    Raises:
        NotRevivableError: the order ends the guest, or says that it lives elsewhere: its host has no such guest to show.
    """
    if order.desired == Desired.SUPERSEDED:
        raise NotRevivableError(
            f"by the order that host {order.host} holds, {order.namespace}/{order.name} lives on another host: nothing "
            "is made from that order"
        )
    if order.desired == Desired.DESTROYED or order.image is None:
        raise NotRevivableError(f"the order of {order.guest_id} is to destroy it: nothing is made from it")
    return order.image


def _place(order: Order, used: OrderAddress, places: Places | None) -> tuple[str, str]:
    """Return address space and pool."""
    if used.space and used.pool:
        return used.space, used.pool
    known = (places or {}).get((used.interface, used.address))
    if known is None:
        raise NotRevivableError(
            f"it is not known which IPPool the address {used.address} of {order.namespace}/{order.name} is of: the "
            "order does not say, and nobody holds the address"
        )
    return known
