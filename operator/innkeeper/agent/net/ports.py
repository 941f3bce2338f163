"""Where each interface of a guest is plugged in. Pure: names follow from IDs, so two runs agree without asking.

Every device that the agent makes begins with `ik`. A guest's port begins with `ikt`, and the packet filter is closed
for such a port until it holds that port's rules.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from innkeeper.domain import default_routes
from innkeeper.domain.orders import Order, OrderAddress, OrderInvalidError
from innkeeper.views.host import Network

PORT_PREFIX = "ikt"
SERVER_PREFIX = "ikd"  # the end of the DHCP server's cable that is a port of the bridge
INNER_PREFIX = "ike"  # the end that the DHCP server listens at
_DIGITS = 12  # with a prefix of three, what the kernel allows: 15 characters


@dataclass(frozen=True)
class Segment:
    """One layer-2 network on this host: the base bridge, or a VLAN of it behind a bridge of its own."""

    base: str
    vlan: int | None

    @property
    def bridge(self) -> str:
        """The bridge that guests are plugged into."""
        return self.base if self.vlan is None else f"ikv{self.vlan}-{_digest(self.base)[:6]}"

    @property
    def tagged(self) -> str:
        """The VLAN's device over the base bridge."""
        return f"ikl{self.vlan}-{_digest(self.base)[:6]}"

    @property
    def server(self) -> str:
        """The port of the bridge that leads to the DHCP server."""
        return f"{SERVER_PREFIX}{_digest(self.bridge)[:_DIGITS]}"

    @property
    def inner(self) -> str:
        """Where the DHCP server listens."""
        return f"{INNER_PREFIX}{_digest(self.bridge)[:_DIGITS]}"


@dataclass(frozen=True, kw_only=True)
class Port:
    """One interface of a guest as its host sees it."""

    guest_id: str
    interface: str
    segment: Segment
    mac: str
    addresses: tuple[OrderAddress, ...]
    hostname: str
    mtu: int | None = None  # bytes
    default_routes: frozenset[int] = frozenset()  # IP versions whose default route leads over this interface
    has_advertised_router: bool = False  # whether router advertisements name their sender as a router here

    @property
    def device(self) -> str:
        """The name of the tap device, known before the device exists."""
        return f"{PORT_PREFIX}{_digest(f'{self.guest_id}/{self.interface}')[:_DIGITS]}"


def ports_of(order: Order, network: Network) -> tuple[Port, ...]:
    """Return a guest's ports, in the order of its addresses.

    Raises:
        OrderInvalidError: the addresses of one interface contradict each other.
    """
    interfaces: dict[str, list[OrderAddress]] = {}
    for address in order.addresses:
        interfaces.setdefault(address.interface, []).append(address)
    return tuple(_port(order, name, tuple(found), network) for name, found in interfaces.items())


def segments_of(ports: Iterable[Port]) -> list[Segment]:
    """Return the segments that have ports, each once."""
    return sorted({port.segment for port in ports}, key=lambda each: each.bridge)


def segment_of(address: OrderAddress, network: Network) -> Segment:
    """Return where an address is used on this host."""
    return Segment(network.base, address.vlan or network.vlan)


def _port(order: Order, interface: str, addresses: tuple[OrderAddress, ...], network: Network) -> Port:
    segments = {segment_of(address, network) for address in addresses}
    macs = {address.mac for address in addresses}
    if len(segments) > 1 or len(macs) > 1:
        what = "VLAN" if len(segments) > 1 else "MAC address"
        raise OrderInvalidError(f"the addresses of {interface!r} have more than one {what}")
    routes = default_routes.interfaces(order.addresses)
    advertised = default_routes.advertised(order.addresses, is_behind_host=network.is_behind_hosts)
    mtus = [each for each in (network.mtu, *(address.mtu for address in addresses)) if each is not None]
    return Port(
        guest_id=order.guest_id,
        interface=interface,
        segment=segments.pop(),
        mac=macs.pop(),
        addresses=addresses,
        hostname=order.spec.hostname or order.name,
        mtu=min(mtus, default=None),
        default_routes=frozenset(version for version, found in routes.items() if found == interface),
        has_advertised_router=advertised == interface,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
