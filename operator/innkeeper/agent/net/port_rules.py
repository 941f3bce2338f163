"""What one guest may send, as rules of nft for the chain of its port. Pure.

The rules go from the top: a lie that can be told by its form is dropped and counted by why, then what comes from the
guest's own addresses is accepted. A field that a frame is too short to have matches nothing, so what must be right is
asked for, and what is left is dropped. All text is made of addresses that were parsed and of names that we made.
"""

import ipaddress
from collections.abc import Iterable

from innkeeper.agent.net.ports import Port

WHYS = ("mac", "vlan", "arp", "ipv4", "ipv6", "nd", "ra", "dhcp", "other")
"""Why a frame of a guest was dropped: the address that was not its own, or what it may not send."""

_NOBODY = str(ipaddress.IPv4Address(0))
_FROM_ETHERNET = "@th,64,24 0x010106"
"""A question of BOOTP by a machine that has a MAC (RFC 2131): `op`, `htype` and `hlen`."""
_CLIENTS_OF_DHCPV6 = "{ 1, 3, 4, 5, 6, 8, 9, 11 }"
"""What a client says in DHCPv6 (RFC 8415, section 7.3); a relay would speak for others, by their MACs (RFC 6939)."""

_HEADERS = "{ 0, 43, 44, 51, 60, 135, 139, 140 }"
"""What is followed by another header (IANA, "IPv6 Extension Header Types"), but for ESP, which hides it from all."""


def rules_of(port: Port) -> list[str]:
    """Return the rules of a port's chain."""
    return [*_ethernet(port), *_arp(port), *_ipv4(port), *_ipv6(port), _drop(port, "other")]


def counter_name(port: Port, why: str) -> str:
    """Return the name of the counter of what was dropped."""
    return f"{port.device}_{why}"


def device_and_why(counter: str) -> tuple[str, str]:
    """Return what a counter's name says."""
    device, _, why = counter.partition("_")
    return device, why


def link_local(mac: str) -> str:
    """Return the link-local address that a machine makes of its MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _ethernet(port: Port) -> list[str]:
    return [
        f"ether saddr != {port.mac} {_drop(port, 'mac')}",
        f"ether type {{ 8021q, 8021ad }} {_drop(port, 'vlan')}",
    ]


def _arp(port: Port) -> list[str]:
    fours = _own(port, version=4)
    accepted = [
        f"ether type arp arp operation request arp saddr ip {_set(fours)} accept",
        # 0.0.0.0 asks whether an address is free before it is used (RFC 5227); whoever hears that of another address
        # takes it for about to be used, and leaves it.
        f"ether type arp arp operation request arp saddr ip {_NOBODY} arp daddr ip {_set(fours)} accept",
        f"ether type arp arp operation reply arp saddr ip {_set(fours)} accept",
    ]
    return [
        f"ether type arp arp saddr ether != {port.mac} {_drop(port, 'arp')}",
        *(accepted if fours else []),
        f"ether type arp {_drop(port, 'arp')}",
    ]


def _ipv4(port: Port) -> list[str]:
    fours = _own(port, version=4)
    # The server knows a client by the MAC in its message: it would decline, release and answer for whoever that is.
    asks = f"{_FROM_ETHERNET} @th,288,48 {_number(port.mac)} accept"
    return [
        # A client looks at its own port alone: an answer may come from any.
        f"ether type ip udp sport 67 {_drop(port, 'dhcp')}",
        f"ether type ip udp dport 68 {_drop(port, 'dhcp')}",
        f"ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 {asks}",
        *(f"ether type ip ip saddr {_set(fours)} udp dport 67 {asks}" for _ in fours[:1]),
        f"ether type ip udp dport 67 {_drop(port, 'dhcp')}",
        *(f"ether type ip ip saddr {_set(fours)} accept" for _ in fours[:1]),
        f"ether type ip {_drop(port, 'ipv4')}",
    ]


def _ipv6(port: Port) -> list[str]:
    sixes = [*_own(port, version=6), link_local(port.mac)]
    targets = _set(f"0x{int(ipaddress.IPv6Address(each)):032x}" for each in sixes)
    return [
        f"ether type ip6 icmpv6 type {{ nd-router-advert, nd-redirect }} {_drop(port, 'ra')}",
        f"ether type ip6 udp sport 547 {_drop(port, 'dhcp')}",
        f"ether type ip6 udp dport 546 {_drop(port, 'dhcp')}",
        f"ether type ip6 udp dport 547 @th,64,8 != {_CLIENTS_OF_DHCPV6} {_drop(port, 'dhcp')}",
        *_neighbour_discovery(port, targets),
        # Before it has an address a guest asks for routers, and says which groups it listens to (RFC 3810).
        "ether type ip6 ip6 saddr :: icmpv6 type { nd-router-solicit, mld-listener-report, mld2-listener-report } accept",
        # Nobody sends a piece of a packet from there, or one that may begin behind headers in another, but to hide it.
        f"ether type ip6 ip6 saddr fe80::/10 exthdr frag exists {_drop(port, 'ipv6')}",
        f"ether type ip6 frag nexthdr {_HEADERS} {_drop(port, 'ipv6')}",
        f"ether type ip6 ip6 saddr {_set(sixes)} accept",
        f"ether type ip6 {_drop(port, 'ipv6')}",
    ]


def _neighbour_discovery(port: Port, targets: str) -> list[str]:
    both = "ether type ip6 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"
    asks = "ether type ip6 ip6 saddr :: icmpv6 type nd-neighbor-solicit"
    return [
        # In pieces it is refused by who keeps to RFC 6980, and it has its target where no rule sees it.
        f"ether type ip6 exthdr frag exists icmpv6 type 133-137 {_drop(port, 'nd')}",
        f"ether type ip6 icmpv6 type nd-neighbor-advert @th,64,128 != {targets} {_drop(port, 'nd')}",
        # Room for one option, so that the first is all: the DHCP server finds a client's MAC by its neighbours.
        f"{both} ip6 length != 24-32 {_drop(port, 'nd')}",
        f"{both} @th,192,8 {{ 1, 2 }} @th,208,48 != {_number(port.mac)} {_drop(port, 'nd')}",
        f"{asks} @th,64,128 {targets} accept",
        f"{asks} {_drop(port, 'nd')}",
    ]


def _drop(port: Port, why: str) -> str:
    return f"counter name {counter_name(port, why)} drop"


def _own(port: Port, *, version: int) -> list[str]:
    parsed = [ipaddress.ip_address(address.address) for address in port.addresses]
    return [str(address) for address in parsed if address.version == version]


def _number(mac: str) -> str:
    return f"0x{mac.replace(':', '').lower()}"


def _set(members: Iterable[str]) -> str:
    return "{ " + ", ".join(members) + " }"
