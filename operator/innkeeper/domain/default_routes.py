"""Over which interfaces of a guest its default routes lead. Pure.

There is one of each family. With two a guest answers over either, and what leaves over one interface with the address of
another is dropped by the packet filter.
"""

import ipaddress
from collections.abc import Iterable, Mapping

from innkeeper.domain.addressing.pool import LINK_LOCAL, V4, V6
from innkeeper.domain.orders import OrderAddress


def interfaces(addresses: Iterable[OrderAddress]) -> Mapping[int, str]:
    """Return the interface of each IP version's default route: the first whose pool has a gateway.

    An order names a guest's addresses in the order in which its Guest named their interfaces when it was bound.
    """
    found: dict[int, str] = {}
    for each in addresses:
        if each.gateway is not None:
            found.setdefault(version(each), each.interface)
    return found


def advertised(addresses: Iterable[OrderAddress], *, is_behind_host: bool) -> str | None:
    """Return the interface of IPv6's default route by router advertisements: the first whose gateway they can tell.

    A host that is its guests' gateway itself (`is_behind_host`) tells any.
    """
    told = [each for each in addresses if is_behind_host or has_link_local_gateway(each)]
    return interfaces(told).get(V6)


def has_link_local_gateway(address: OrderAddress) -> bool:
    """Tell whether the gateway is one that a router advertisement may name."""
    return address.gateway is not None and ipaddress.ip_address(address.gateway) in LINK_LOCAL


def version(address: OrderAddress) -> int:
    """Return the IP version of an address, whatever its order wrote."""
    return V6 if ":" in address.address else V4
