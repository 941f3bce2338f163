"""Over which interfaces of a guest its default routes lead. Pure.

There is one of each family. With two a guest answers over either, and what leaves over one interface with the address of
another is dropped by the packet filter.
"""

from collections.abc import Iterable, Mapping

from innkeeper.domain.addressing.pool import V4, V6
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


def version(address: OrderAddress) -> int:
    """Return the IP version of an address, whatever its order wrote."""
    return V6 if ":" in address.address else V4
