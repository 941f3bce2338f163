"""Router advertisements for this host's guests, put into their taps one by one: no frame of them is ever on the wire.

They tell an IPv6 guest that its address comes by DHCPv6, what is on its link, and its router where that can be said: an
advertisement speaks for the address it comes from, so the gateway must be link-local, or this host itself (NAT). A
gateway over which the guest's default route does not lead says of itself that it is no router.
"""

import ipaddress
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog

from innkeeper.agent.net import packets
from innkeeper.agent.net.links import Link
from innkeeper.agent.net.port_rules import link_local
from innkeeper.agent.net.ports import Port
from innkeeper.domain.addressing.pool import V6
from innkeeper.domain.default_routes import has_link_local_gateway
from innkeeper.domain.orders import OrderAddress

PERIOD_S = 10.0
TAKEN_BACK_TIMES = 6  # an advertisement has no answer, so one that is lost is not noticed
_SOURCE_MAC = "02:69:6b:00:00:01"  # locally administered; only in frames that tell no MAC

log = structlog.get_logger()


class Adverts:
    """What guests were told of their routers, so that a router is taken back that is none any more."""

    def __init__(self) -> None:
        self._told: dict[str, packets.Advert] = {}  # by device
        self._taken_back: dict[
            str, dict[str, tuple[packets.Advert, int]]
        ] = {}  # by source; how often it is yet told

    def send(self, ports: Iterable[Port], *, router: Callable[[Port], Link | None]) -> None:
        """Tell every guest whose machine runs. One that is not there is left out."""
        found = {port.device: port for port in ports}
        for device in self._told.keys() - found.keys():
            del self._told[device]
            self._taken_back.pop(device, None)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
            for device, port in found.items():
                try:
                    for frame in self.frames(port, router=router(port)):
                        opened.sendto(frame, (device, 0))
                except (OSError, ValueError, struct.error) as error:
                    log.debug("advert_unsent", guest=port.guest_id, device=device, error=str(error))

    def frames(self, port: Port, *, router: Link | None) -> list[bytes]:
        """Return what a guest is told now; `router` is this host's bridge under NAT.

        What is taken back comes first: the network that it names is told anew behind it.
        """
        now, before = advert_of(port, router=router), self._told.pop(port.device, None)
        going = self._taken_back.pop(port.device, {})
        if before is not None and before.is_router:
            going[before.source] = (before, TAKEN_BACK_TIMES)
        if now is not None:
            self._told[port.device] = now
            going.pop(now.source, None)  # what is said of it now counts
        left = {source: (each, times - 1) for source, (each, times) in going.items() if times > 1}
        if left:
            self._taken_back[port.device] = left
        over = [replace(each, lifetime_s=0, dns=(), search_domains=()) for each, _ in going.values()]
        return [packets.advert(each) for each in (*over, *([] if now is None else [now]))]


def advert_of(port: Port, *, router: Link | None) -> packets.Advert | None:
    """Return what a guest is told, or None where it has no IPv6 address. `router` is this host's bridge under NAT."""
    address = next(
        (each for each in port.addresses if ipaddress.ip_address(each.address).version == V6), None
    )
    return None if address is None else _told(port, address, router)


def _told(port: Port, address: OrderAddress, router: Link | None) -> packets.Advert:
    network = ipaddress.ip_network(f"{address.address}/{address.prefix_length}", strict=False)
    dns = tuple(each for each in address.dns if ":" in each)
    if router is not None:
        source, mac = link_local(router.mac), router.mac
    elif has_link_local_gateway(address):
        source, mac = str(address.gateway), _SOURCE_MAC
    else:
        source, mac = link_local(_SOURCE_MAC), _SOURCE_MAC
    # A gateway over which no default route leads speaks, too: an older agent may have told it as the router.
    return packets.Advert(
        source=source,
        source_mac=mac,
        is_router=port.has_advertised_router and (router is not None or has_link_local_gateway(address)),
        names_mac=router is not None,
        prefix=str(network),
        mtu=port.mtu,
        dns=dns,
        search_domains=tuple(address.search_domains),
    )
