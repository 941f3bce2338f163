"""What dnsmasq is told (dnsmasq(8)): each guest of a segment gets its own addresses and nothing else. Pure.

There are no dynamic leases: a MAC that is not in the list gets no answer, and nobody is known by what he calls himself
(a client identifier), as the packet filter vouches for MACs alone. Leases never end, as addresses never move, so a
guest keeps its own while dnsmasq is away. The DHCP server is no router and no name server.
"""

import hashlib
import ipaddress
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from innkeeper.agent.net.ports import Port, Segment
from innkeeper.domain.addressing.pool import V4, V6
from innkeeper.domain.orders import OrderAddress

SERVER_ADDRESS = "169.254.77.1"
"""What the server calls itself (RFC 3927): on a link that nothing but DHCP passes."""

_SMALLEST_V6 = 64  # dnsmasq's own limit: a guest of a larger network is served in the /64 around its address
_MTU, _HOSTNAME = 26, 12  # options of RFC 2132

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Leases:
    """The files of one server."""

    settings: str
    hosts: str
    options: str


@dataclass(frozen=True)
class Served:
    """A network that a server gives addresses of, and the address that it needs there for its own, if any."""

    network: _Network
    own: tuple[str, int] | None = None


def served(ports: Iterable[Port]) -> list[Served]:
    """Return the networks of some ports, each once."""
    addresses = [address for port in ports for address in port.addresses]
    taken = {
        ipaddress.ip_address(text)
        for each in addresses
        for text in (each.address, *each.dns, *([each.gateway] if each.gateway else []))
    }
    lengths: dict[_Network, int] = {}
    for each in addresses:
        network = _network(each)
        lengths[network] = min(lengths.get(network, each.prefix_length), each.prefix_length)
    return [
        Served(network, _own(network, taken, of=length))
        for network, length in sorted(lengths.items(), key=lambda each: str(each[0]))
    ]


def _own(network: _Network, taken: Collection[_Address], *, of: int) -> tuple[str, int] | None:
    """Return what address the server has in a network; `of` is the length of the prefix that its guests have.

    For IPv6 it must have one: of a whole network the first, which no guest ever has. In a /64 of a larger one a guest
    may have that: one is used that a guest on another host has only where somebody means it to. None of those that
    guests here have or are told is used.
    """
    if isinstance(network, ipaddress.IPv4Network):
        return None
    first = [network[0]] if of == network.prefixlen else []
    own = next(each for each in itertools.chain(first, _by_hash(network)) if each not in taken)
    return str(own), network.prefixlen


def _by_hash(network: ipaddress.IPv6Network) -> Iterator[ipaddress.IPv6Address]:
    for number in itertools.count():
        digest = hashlib.sha256(f"dhcp\0{network}\0{number}".encode()).digest()
        yield network[int.from_bytes(digest) % network.num_addresses]


def leases(segment: Segment, ports: Iterable[Port], *, directory: str) -> Leases:
    """Return what the server of a segment is told; `directory` is where its files lie."""
    found = sorted(ports, key=lambda port: port.device)
    return Leases(
        settings="\n".join(_settings(segment, found, directory)) + "\n",
        hosts="".join(f"{_host(port)}\n" for port in found),
        options="".join(f"tag:{port.device},{line}\n" for port in found for line in _options(port)),
    )


def _settings(segment: Segment, ports: list[Port], directory: str) -> Iterator[str]:
    yield from ("port=0", f"interface={segment.inner}", "except-interface=lo", "bind-dynamic")
    yield from ("no-resolv", "no-hosts", "no-ping", "leasefile-ro", "dhcp-authoritative", "dhcp-ignore-names")
    yield "dhcp-ignore-clid"
    yield from ("dhcp-ignore=tag:!known", "quiet-dhcp", "quiet-dhcp6", f"pid-file={directory}/pid")
    yield from (f"dhcp-hostsfile={directory}/hosts", f"dhcp-optsfile={directory}/options")
    for each in served(ports):
        network = each.network
        if network.version == V4:
            yield f"shared-network={segment.inner},{network.network_address}"
            yield f"dhcp-range={network.network_address},static,{network.netmask},infinite"
        else:
            yield f"dhcp-range={network.network_address},static,{network.prefixlen},infinite"


def _host(port: Port) -> str:
    addresses = [each.address if _version(each) == V4 else f"[{each.address}]" for each in port.addresses]
    return ",".join([port.mac, f"set:{port.device}", *addresses, "infinite"])


def _options(port: Port) -> Iterator[str]:
    """Yield what a guest is told beside its addresses; what it is not told is said to be nothing."""
    fours = [each for each in port.addresses if _version(each) == V4]
    sixes = [each for each in port.addresses if _version(each) == V6]
    gateways = [each.gateway for each in fours if each.gateway and V4 in port.default_routes]
    yield ",".join(["option:router", *gateways[:1]])
    yield f"{_HOSTNAME},{port.hostname}"
    if port.mtu is not None:
        yield f"{_MTU},{port.mtu}"
    yield from _names("option", [each for address in fours for each in address.dns], fours, own=V4)
    yield from _names("option6", [f"[{each}]" for address in sixes for each in address.dns], sixes, own=V6)


def _names(kind: str, servers: list[str], addresses: list[OrderAddress], *, own: int) -> Iterator[str]:
    # A server of the other family cannot be told in this family's protocol; cloud-init and RAs tell it.
    usable = [each for each in servers if (":" in each) == (own == V6)]
    domains = [each for address in addresses for each in address.search_domains]
    yield ",".join([f"{kind}:dns-server", *dict.fromkeys(usable)])
    if domains:
        yield ",".join([f"{kind}:domain-search", *dict.fromkeys(domains)])


def _version(address: OrderAddress) -> int:
    return ipaddress.ip_address(address.address).version


def _network(address: OrderAddress) -> _Network:
    length = address.prefix_length
    if _version(address) == V6:
        length = max(length, _SMALLEST_V6)
    return ipaddress.ip_network(f"{address.address}/{length}", strict=False)
