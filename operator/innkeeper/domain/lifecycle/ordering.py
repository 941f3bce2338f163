"""What a guest's order should say, and with which rank.

An order is made from the binding alone, so it can always be made again. A change of what it says takes the next serial;
a host that holds more is signed above; nothing changed means no order.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from innkeeper.domain import names
from innkeeper.domain.addressing.pool import Pool, number_of
from innkeeper.domain.lifecycle.caught_up import caught_up_with
from innkeeper.domain.orders import Order, OrderAddress, OrderImage, OrderOperation, OrderResources, Rank
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import Desired, OrderOutcome, Power
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest, GuestAddress, GuestSpec

_LEFT_OUT = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        names.ARGO_TRACKING_ANNOTATION,
        names.FORCE_DELETE_ANNOTATION,
        names.REVIVED_FROM_ANNOTATION,
        names.DESTROYED_ANNOTATION,
        names.FORGOTTEN_ANNOTATION,
        names.CAUGHT_UP_ANNOTATION,
    }
)


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What an order is made from, beside the Guest itself."""

    guest_id: str
    store_id: str
    addresses: tuple[OrderAddress, ...]
    image: OrderImage | None
    host: str  # whose order it is
    user_data_digest: str | None = None
    operation: OrderOperation | None = None
    ending: Desired | None = None  # Destroyed or Superseded; None: as the Guest's power says


def desired(guest: Guest) -> Desired:
    """Return what the host of a guest is asked for while it is to be there."""
    return Desired.STOPPED if guest.spec.power == Power.STOPPED else Desired.RUNNING


def compose(guest: Guest, ingredients: Ingredients, *, rank: Rank) -> Order:
    """Return an order of a guest."""
    amounts = Amounts.of(guest.status.resources)
    spec = _without_user_data(guest.spec) if ingredients.ending is Desired.DESTROYED else guest.spec
    secret = spec.user_data.secret_name if spec.user_data else None
    return Order(
        host=ingredients.host,
        store_id=ingredients.store_id,
        guest_id=ingredients.guest_id,
        namespace=guest.metadata.namespace,
        name=guest.metadata.name,
        generation=guest.metadata.generation,
        spec=spec,
        resources=OrderResources(
            cpu_millis=amounts.cpu_millis, memory_bytes=amounts.memory_bytes, disk_bytes=amounts.disk_bytes
        ),
        addresses=list(ingredients.addresses),
        image=None if ingredients.ending else ingredients.image,
        desired=ingredients.ending or desired(guest),
        epoch=rank.epoch,
        serial=rank.serial,
        user_data_secret=names.user_data_secret(ingredients.guest_id) if secret else None,
        user_data_digest=ingredients.user_data_digest,
        labels=guest.metadata.labels,
        annotations=_ordered(guest.metadata.annotations),
        operation=ingredients.operation,
    )


def is_ordered_annotation(key: str) -> bool:
    """Tell whether orders carry a Guest's annotation of this name."""
    return key not in _LEFT_OUT


def _ordered(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if is_ordered_annotation(key)}


def to_destroy(signed: Order, assignment: Assignment, *, store_id: str) -> Order:
    """Return the order to destroy a guest that has no object: what stands, ranked above all that the host holds."""
    held = assignment.status.held
    highest = max(signed.rank, Rank(held.epoch, held.serial)) if held else signed.rank
    return msgspec.structs.replace(
        signed,
        store_id=store_id,
        spec=_without_user_data(signed.spec),
        desired=Desired.DESTROYED,
        image=None,
        epoch=highest.epoch,
        serial=highest.serial + 1,
        user_data_secret=None,
        user_data_digest=None,
    )


def _without_user_data(spec: GuestSpec) -> GuestSpec:
    """Return what an order to destroy says of a guest: its host keeps that order long after the guest."""
    return msgspec.structs.replace(spec, user_data=None)


def assignment_spec(order: Order, text: str, *, image_digest: str) -> dict[str, Any]:
    """Return the spec of the Assignment that carries a signed order (`text`), with the copies that people read."""
    return {
        "order": text,
        "guest": {"namespace": order.namespace, "name": order.name},
        "guestId": order.guest_id,
        "desired": order.desired,
        "epoch": order.epoch,
        "serial": order.serial,
        "imageDigest": image_digest,
        "addresses": [each.address for each in order.addresses],
    }


def assignment_document(order: Order, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Assignment of an order, for the namespace of the order's host."""
    return {
        "metadata": {"name": order.guest_id, "labels": {names.HOST_LABEL: order.host}},
        "spec": dict(spec),
    }


def bound_addresses(
    guest: Guest, pools: Mapping[str, Pool], signed: Order | None = None
) -> tuple[OrderAddress, ...]:
    """Return the bound addresses with all that a guest needs to use them, as their pools say now.

    What was signed stays where its pool is gone, or another one has its name.

    Raises:
        KeyError: it is not known of an address how to use it.
    """
    before = {(each.interface, each.address): each for each in signed.addresses} if signed else {}
    return tuple(
        _bound(each, pools.get(each.pool), before.get((each.interface, each.address)))
        for each in guest.status.addresses
    )


def _bound(bound: GuestAddress, pool: Pool | None, before: OrderAddress | None) -> OrderAddress:
    if pool is None or is_of_another(bound, pool, before):
        if before is None:
            raise KeyError(bound.address)
        return before
    return OrderAddress(
        interface=bound.interface,
        address=bound.address,
        prefix_length=pool.network.prefixlen,
        mac=bound.mac,
        gateway=pool.gateway,
        dns=list(pool.dns),
        search_domains=list(pool.search_domains),
        mtu=pool.mtu,
        vlan=pool.vlan,
        space=pool.space,
        pool=bound.pool,
    )


def is_of_another(bound: GuestAddress, pool: Pool, before: OrderAddress | None) -> bool:
    """Tell whether a pool is not the one that an address came from: network, VLAN and space of a pool never change."""
    family, number = number_of(bound.address)
    first, last = pool.bounds
    if family != pool.version or not first <= number <= last:
        return True
    if before is None:
        return False
    network = ipaddress.ip_network(f"{before.address}/{before.prefix_length}", strict=False)
    return (network, before.vlan, before.space or pool.space) != (pool.network, pool.vlan, pool.space)


def is_outdated(guest: Guest, guest_id: str, signed: Order | None, *, destroy: bool) -> bool:
    """Tell whether the order that stands was made from a newer version of this Guest than the one in hand.

    Two watches are not in step: nobody may sign over an order to destroy from what a guest was before its deletion.
    """
    if signed is None:
        return False
    if signed.desired == Desired.DESTROYED and not destroy:
        return True
    # An object that was made anew counts its generations from one again; one of an older copy of the store, from there.
    is_later = guest_id == guest.metadata.uid and signed.generation > guest.metadata.generation
    return is_later and signed.rank > caught_up_with(guest)


def next_rank(
    guest: Guest, assignment: Assignment | None, *, wanted: Order, signed: Order | None
) -> Rank | None:
    """Return the rank that the order must be signed with, or None where the one that stands says it all.

    `wanted` is the order with any rank; `signed` is what the Assignment carries, where it can be read.
    """
    epoch = guest.status.epoch
    held = assignment.status.held if assignment else None
    beaten = Rank(held.epoch, held.serial) if held else Rank(0, 0)
    current = signed.rank if signed else Rank(0, 0)
    superseded = assignment is not None and assignment.status.outcome == OrderOutcome.SUPERSEDED
    if signed is not None and current.epoch >= epoch and not (superseded and beaten >= current):
        same = msgspec.structs.replace(wanted, epoch=current.epoch, serial=current.serial)
        if same == signed:
            return None
    highest = max(current, beaten)
    return Rank(highest.epoch, highest.serial + 1) if highest.epoch >= epoch else Rank(epoch, 1)
