"""What a guest's interfaces ask for, one address at a time, in one form."""

from collections.abc import Iterator
from dataclasses import dataclass

from innkeeper.domain.scheduling.selectors import Selector
from innkeeper.views.guest import Guest, Interface, InterfaceAddress


@dataclass(frozen=True)
class Wish:
    """One address: for an interface, from a pool by name or by labels, any one or a certain one."""

    interface: str
    pool: str | None = None
    selector: Selector | None = None
    address: str | None = None


def wishes(guest: Guest) -> Iterator[Wish]:
    """Yield what is asked for, in the order of the manifest."""
    for interface in guest.spec.interfaces:
        for each in _addresses(interface):
            selector = Selector.of(each.pool_selector) if each.pool_selector is not None else None
            yield Wish(interface.name, each.pool, selector, each.address)


def _addresses(interface: Interface) -> list[InterfaceAddress]:
    if interface.addresses is not None:
        return interface.addresses
    return [InterfaceAddress(pool=interface.pool)]
