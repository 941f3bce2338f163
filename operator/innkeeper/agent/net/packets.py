"""Ethernet frames that the agent itself sends, as bytes, and what answers to them mean. Pure.

ARP: RFC 826 and RFC 5227. Neighbour discovery and router advertisements: RFC 4861, RFC 8106 for name servers.
"""

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_ARP, _IPV6 = 0x0806, 0x86DD
_REQUEST, _REPLY = 1, 2
_SOLICIT, _ADVERT, _ROUTER_ADVERT = 135, 136, 134
_ICMPV6 = 58
_HOP_LIMIT = 255  # a receiver refuses any other: the packet came over a router
_FOR_EVER = 0xFFFFFFFF
_MANAGED_AND_OTHER = 0xC0
_ON_LINK = 0x80
_ETHERNET_BYTES, _IPV6_BYTES = 14, 40
_ALL_NODES = ipaddress.IPv6Address("ff02::1")

LONGEST_LIFETIME_S = 65535
"""For how long a router can be told at most (RFC 8319): its guests' way out lasts while an agent is away."""

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, kw_only=True)
class Advert:
    """What a router says of a network. Times in seconds."""

    source: str
    source_mac: str
    is_router: bool
    names_mac: bool  # whether the source's MAC is told; where it is not, guests ask the wire for it
    prefix: str  # on the link; nobody makes an address of it
    mtu: int | None = None
    dns: tuple[str, ...] = ()
    search_domains: tuple[str, ...] = ()
    lifetime_s: int = LONGEST_LIFETIME_S


def question(address: Ip, mac: str) -> bytes:
    """Return the frame that asks who has an address, without saying that we have one."""
    if isinstance(address, ipaddress.IPv4Address):
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, _REQUEST)
        body += _octets(mac) + bytes(4) + bytes(6) + address.packed
        return _frame("ff:ff:ff:ff:ff:ff", mac, _ARP, body)
    group = ipaddress.IPv6Address(ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + address.packed[13:])
    # From nobody, as a machine asks before it takes an address (RFC 4862): the answer goes to all.
    return _icmp6(_SOLICIT, bytes(4) + address.packed, source=ipaddress.IPv6Address("::"), to=group, mac=mac)


def claim(frame: bytes) -> tuple[str, str] | None:
    """Return the address that a frame claims and the MAC that claims it; None for a frame that claims none.

    Who asks from nobody whether an address is free is about to take it (RFC 5227, 2.1.1; RFC 4862, 5.4.3).
    """
    kind = int.from_bytes(frame[12:14], "big")
    body = frame[_ETHERNET_BYTES:]
    if kind == _ARP and len(body) >= 28:  # noqa: PLR2004 - an ARP packet of IPv4 over Ethernet
        sender, own, asked = body[8:14], body[14:18], body[24:28]
        is_probe = not any(own) and body[6:8] == _REQUEST.to_bytes(2, "big")
        claimed = ipaddress.IPv4Address(asked if is_probe else own)
        return None if claimed.is_unspecified else (str(claimed), _text(sender))
    if kind == _IPV6 and len(body) >= _IPV6_BYTES + 24 and body[6] == _ICMPV6:
        is_probe = body[_IPV6_BYTES] == _SOLICIT and not any(body[8:24])
        if is_probe or body[_IPV6_BYTES] == _ADVERT:
            target = ipaddress.IPv6Address(body[_IPV6_BYTES + 8 : _IPV6_BYTES + 24])
            return str(target), _text(frame[6:12])
    return None


def advert(told: Advert) -> bytes:
    """Return the frame of a router advertisement to all machines on a link."""
    head = struct.pack("!BBHII", 64, _MANAGED_AND_OTHER, told.lifetime_s if told.is_router else 0, 0, 0)
    network = ipaddress.IPv6Network(told.prefix)
    options = _option(
        3,
        struct.pack("!BBIII", network.prefixlen, _ON_LINK, _FOR_EVER, _FOR_EVER, 0)
        + network.network_address.packed,
    )
    if told.names_mac:
        options += _option(1, _octets(told.source_mac))
    if told.mtu is not None:
        options += _option(5, struct.pack("!HI", 0, told.mtu))
    servers = [ipaddress.IPv6Address(each).packed for each in told.dns]
    if servers:
        options += _option(25, struct.pack("!HI", 0, _FOR_EVER) + b"".join(servers))
    if told.search_domains:
        options += _option(31, struct.pack("!HI", 0, _FOR_EVER) + _domains(told.search_domains))
    return _icmp6(
        _ROUTER_ADVERT,
        head + options,
        source=ipaddress.IPv6Address(told.source),
        to=_ALL_NODES,
        mac=told.source_mac,
    )


def _icmp6(
    kind: int, rest: bytes, *, source: ipaddress.IPv6Address, to: ipaddress.IPv6Address, mac: str
) -> bytes:
    blank = struct.pack("!BBH", kind, 0, 0) + rest
    pseudo = source.packed + to.packed + struct.pack("!II", len(blank), _ICMPV6)
    message = struct.pack("!BBH", kind, 0, _checksum(pseudo + blank)) + rest
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, _HOP_LIMIT) + source.packed + to.packed
    group = _text(b"\x33\x33" + to.packed[12:])
    return _frame(group, mac, _IPV6, header + message)


def _option(kind: int, body: bytes) -> bytes:
    """Return an option of neighbour discovery: its length counts eights of bytes, its own two included."""
    padded = body + bytes(-(len(body) + 2) % 8)
    return struct.pack("!BB", kind, (len(padded) + 2) // 8) + padded


def _domains(names: Iterable[str]) -> bytes:
    return b"".join(
        b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split(".")) + b"\0"
        for name in names
    )


def _frame(to: str, source: str, kind: int, body: bytes) -> bytes:
    return _octets(to) + _octets(source) + struct.pack("!H", kind) + body


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _text(octets: bytes) -> str:
    return octets.hex(":")
