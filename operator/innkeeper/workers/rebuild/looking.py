"""Looks at what an API server holds already, whole: before anything is made anew."""

from collections.abc import Iterable
from typing import Any

from innkeeper.domain.addressing.pool import Pool
from innkeeper.domain.names import host_namespace, host_of_namespace
from innkeeper.domain.rebuild.lack import Present
from innkeeper.kube.client import Client
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import (
    ASSIGNMENTS,
    CLUSTERS,
    FLAVORS,
    GUESTS,
    HOSTS,
    IP_ADDRESSES,
    IP_POOLS,
    NAMESPACES,
    Resource,
)
from innkeeper.state.pool_catalog import PoolCatalog
from innkeeper.state.subset import guest_id_of
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPPool
from innkeeper.workers.rebuild.pool import for_each

WORKERS = 32


async def look(client: Client) -> Present:
    """Return what is there.

    Raises:
        ApiError: the API server refused, or is away.
    """
    hosts = await client.list(HOSTS)
    guests = await client.list(GUESTS)
    assignments = await client.list_metadata(ASSIGNMENTS)
    addresses = await client.list(IP_ADDRESSES)
    pools = await client.list(IP_POOLS)
    places = ((host_of_namespace(each.metadata.namespace), each.metadata.name) for each in assignments.items)
    return Present(
        clusters=await _names(client, CLUSTERS),
        flavors=await _names(client, FLAVORS),
        namespaces=await _names(client, NAMESPACES),
        hosts={each.metadata.name: each.spec.cluster for each in hosts.items},
        lost=frozenset(each.metadata.name for each in hosts.items if each.spec.lost is not None),
        guests={guest_id_of(each): each for each in guests.items},
        orders=frozenset((host, name) for host, name in places if host is not None),
        claims={
            each.metadata.name: (owner.id, owner.interface)
            for each in addresses.items
            if (owner := each.spec.owner) is not None
        },
        held=frozenset(
            (owner.id, owner.interface, each.spec.address)
            for each in addresses.items
            if (owner := each.spec.owner) is not None
        ),
        pools=_understood(pools.items),
    )


async def standing_orders(client: Client, guests: Iterable[Guest]) -> dict[str, Assignment]:
    """Return the Assignments that the API server holds of these Guests, by Guest ID.

    Raises:
        ApiError: the API server refused, or is away.
    """
    found: dict[str, Assignment] = {}

    async def read(guest: Guest) -> None:
        there = await standing_order(client, guest)
        if there is not None:
            found[guest_id_of(guest)] = there

    await for_each(guests, read, workers=WORKERS)
    return found


async def standing_order(client: Client, guest: Guest) -> Assignment | None:
    """Return the Assignment of one of them, on the host that it is bound to.

    Raises:
        ApiError: the API server refused, or is away.
    """
    host = guest.status.host
    if host is None:
        return None
    try:
        return await client.get(ASSIGNMENTS, guest_id_of(guest), namespace=host_namespace(host))
    except NotFoundError:
        return None


async def _names(client: Client, resource: Resource[Any]) -> frozenset[str]:
    return frozenset(each.metadata.name for each in (await client.list_metadata(resource)).items)


def _understood(views: list[IPPool]) -> dict[str, Pool]:
    catalog = PoolCatalog()
    for view in views:
        catalog.put(view.metadata.name, view)
    read = {name: catalog.held(name) for name in catalog}
    return {name: pool for name, pool in read.items() if pool is not None}
