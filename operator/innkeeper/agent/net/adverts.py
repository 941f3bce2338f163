"""Router advertisements for this host's guests, put into their taps one by one: no frame of them is ever on the wire.

They tell an IPv6 guest that its address comes by DHCPv6, what is on its link, and its router where that can be said: an
advertisement speaks for the address it comes from, so the gateway must be link-local, or this host itself (NAT).
"""

import ipaddress
import socket
import struct
from collections.abc import Callable, Iterable

import structlog

from innkeeper.agent.net import packets
from innkeeper.agent.net.dhcp import has_link_local_gateway
from innkeeper.agent.net.links import Link
from innkeeper.agent.net.port_rules import link_local
from innkeeper.agent.net.ports import Port
from innkeeper.domain.addressing.pool import V6
from innkeeper.domain.orders import OrderAddress

PERIOD_S = 10.0
_SOURCE_MAC = "02:69:6b:00:00:01"  # locally administered; only in frames that tell no MAC

log = structlog.get_logger()


def advert_of(port: Port, *, router: Link | None) -> bytes | None:
    """Return what a guest is told, or None where it has no IPv6 address. `router` is this host's bridge under NAT."""
    address = next(
        (each for each in port.addresses if ipaddress.ip_address(each.address).version == V6), None
    )
    return None if address is None else packets.advert(_told(port, address, router))


def send(ports: Iterable[Port], *, router: Callable[[Port], Link | None]) -> None:
    """Tell every guest whose machine runs. One that is not there is left out."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
        for port in ports:
            try:
                frame = advert_of(port, router=router(port))
                if frame is not None:
                    opened.sendto(frame, (port.device, 0))
            except (OSError, ValueError, struct.error) as error:
                log.debug("advert_unsent", guest=port.guest_id, device=port.device, error=str(error))


def _told(port: Port, address: OrderAddress, router: Link | None) -> packets.Advert:
    network = ipaddress.ip_network(f"{address.address}/{address.prefix_length}", strict=False)
    dns = tuple(each for each in address.dns if ":" in each)
    if router is not None:
        source, mac = link_local(router.mac), router.mac
    elif has_link_local_gateway(address):
        source, mac = str(address.gateway), _SOURCE_MAC
    else:
        source, mac = link_local(_SOURCE_MAC), _SOURCE_MAC
    return packets.Advert(
        source=source,
        source_mac=mac,
        is_router=router is not None or has_link_local_gateway(address),
        names_mac=router is not None,
        prefix=str(network),
        mtu=port.mtu,
        dns=dns,
        search_domains=tuple(address.search_domains),
    )
