"""What a guest that lies sends: one frame of every kind that a guest must not send, and honest ones beside them.

Tests import it; inside a real guest it runs as a script, as root, and so it needs nothing but Python.

Usage: spoof.py INTERFACE IPV4 IPV6 MARK-IN-HEX
"""

import ipaddress
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

FOREIGN_MAC, FOREIGN_4, FOREIGN_6 = "52:54:00:66:66:66", "10.254.0.66", "fd00:fe::66"
_IPV4, _ARP, _VLAN, _IPV6, _PROVIDER_VLAN, _LLDP = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88A8, 0x88CC
_ICMP, _MORE = 1, 0x2000
_UDP, _FRAGMENT, _ICMPV6, _OPTIONS = 17, 44, 58, 60
NOBODY = str(ipaddress.IPv4Address(0))


def lies(mac: str, four: str, six: str, mark: bytes) -> dict[str, tuple[bytes, str]]:
    """Return a frame for each trick, and what its host counts it as."""
    local = link_local(mac)
    advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + mark
    neighbour = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + ipaddress.IPv6Address(FOREIGN_6).packed + mark
    hop_by_hop = bytes([_ICMPV6, 0, 1, 4, 0, 0, 0, 0])
    relayed = bytes([12, 0]) + bytes(32) + struct.pack("!HHH", 79, 8, 1) + octets(FOREIGN_MAC) + mark
    return {
        "another MAC": (frame(FOREIGN_MAC, _IPV4, ip4(four, udp(9, 9, mark))), "mac"),
        "a VLAN tag": (
            frame(mac, _VLAN, struct.pack("!HH", 5, _IPV4) + ip4(four, udp(9, 9, mark))),
            "vlan",
        ),
        "an 802.1ad tag": (
            frame(mac, _PROVIDER_VLAN, struct.pack("!HH", 5, _IPV4) + ip4(four, udp(9, 9, mark))),
            "vlan",
        ),
        "ARP for another address": (frame(mac, _ARP, arp(mac, FOREIGN_4) + mark), "arp"),
        "ARP with another MAC": (frame(mac, _ARP, arp(FOREIGN_MAC, four) + mark), "arp"),
        "an answer of ARP for another address": (frame(mac, _ARP, arp(mac, FOREIGN_4, kind=2) + mark), "arp"),
        "gratuitous ARP for another address": (
            frame(mac, _ARP, arp(mac, FOREIGN_4, target=FOREIGN_4) + mark),
            "arp",
        ),
        "the question whether another IPv4 address is free": (
            frame(mac, _ARP, arp(mac, NOBODY, target=FOREIGN_4) + mark),
            "arp",
        ),
        "another IPv4 address": (frame(mac, _IPV4, ip4(FOREIGN_4, udp(9, 9, mark))), "ipv4"),
        "a piece from another IPv4 address": (frame(mac, _IPV4, ip4(FOREIGN_4, mark, piece=100)), "ipv4"),
        "another IPv6 address": (frame(mac, _IPV6, ip6(FOREIGN_6, _UDP, udp(9, 9, mark))), "ipv6"),
        "a piece from another IPv6 address": (
            frame(mac, _IPV6, ip6(FOREIGN_6, _FRAGMENT, piece(_UDP, mark, at=100))),
            "ipv6",
        ),
        "the router's link-local address": (frame(mac, _IPV6, ip6("fe80::1", _UDP, udp(9, 9, mark))), "ipv6"),
        "a neighbour's advertisement": (frame(mac, _IPV6, ip6(six, _ICMPV6, neighbour)), "nd"),
        "a neighbour's advertisement in pieces": (
            frame(mac, _IPV6, ip6(six, _FRAGMENT, piece(_ICMPV6, neighbour[:8]))),
            "nd",
        ),
        "a piece that hides a neighbour's advertisement": (
            frame(mac, _IPV6, ip6(six, _FRAGMENT, piece(_OPTIONS, neighbour, at=1))),
            "ipv6",
        ),
        "the question whether another address is free": (
            frame(mac, _IPV6, ip6("::", _ICMPV6, solicit(FOREIGN_6))),
            "nd",
        ),
        "a redirect": (
            frame(mac, _IPV6, ip6(local, _ICMPV6, struct.pack("!BBHI", 137, 0, 0, 0) + mark)),
            "ra",
        ),
        "a router advertisement": (frame(mac, _IPV6, ip6(local, _ICMPV6, advert)), "ra"),
        "one behind another header": (frame(mac, _IPV6, ip6(local, 0, hop_by_hop + advert)), "ra"),
        "a DHCP server": (frame(mac, _IPV4, ip4(four, udp(67, 68, mark))), "dhcp"),
        "a DHCPv6 server": (frame(mac, _IPV6, ip6(local, _UDP, udp(547, 546, mark))), "dhcp"),
        "a DHCP server at another port": (frame(mac, _IPV4, ip4(four, udp(1234, 68, mark))), "dhcp"),
        "a DHCPv6 server at another port": (
            frame(mac, _IPV6, ip6(local, _UDP, udp(1234, 546, mark))),
            "dhcp",
        ),
        "DHCP for another MAC": (
            frame(mac, _IPV4, ip4(NOBODY, udp(68, 67, bootp(FOREIGN_MAC) + mark))),
            "dhcp",
        ),
        "DHCP for another MAC from its own address": (
            frame(mac, _IPV4, ip4(four, udp(68, 67, bootp(FOREIGN_MAC) + mark))),
            "dhcp",
        ),
        "DHCP for another MAC from another port": (
            frame(mac, _IPV4, ip4(four, udp(9, 67, bootp(FOREIGN_MAC) + mark))),
            "dhcp",
        ),
        "a DHCP question that is cut short": (frame(mac, _IPV4, ip4(four, udp(68, 67, mark[:8]))), "dhcp"),
        "a DHCPv6 relay": (frame(mac, _IPV6, ip6(local, _UDP, udp(546, 547, relayed))), "dhcp"),
        "a neighbour's MAC": (frame(mac, _IPV6, ip6(local, _ICMPV6, solicit(FOREIGN_6, FOREIGN_MAC))), "nd"),
        "a neighbour's MAC behind another option": (
            frame(mac, _IPV6, ip6(local, _ICMPV6, solicit(FOREIGN_6, mac) + option_of_mac(1, FOREIGN_MAC))),
            "nd",
        ),
        "another protocol": (frame(mac, _LLDP, mark), "other"),
    }


def heard(frames: Iterable[bytes], told: Iterable[bytes], mark: bytes) -> list[bytes]:
    """Return the frames that are lies: with the mark, or whole but for the padding, which bridges may take away."""
    bare = [each.rstrip(b"\0") for each in told]
    return [each for each in frames if mark in each or any(lie in each for lie in bare)]


def frame(source: str, kind: int, body: bytes) -> bytes:
    """Return an Ethernet frame to all."""
    return (b"\xff" * 6 + octets(source) + struct.pack("!H", kind) + body).ljust(60, b"\0")


def arp(mac: str, address: str, *, kind: int = 1, target: str | None = None) -> bytes:
    """Return a request (1) or an answer (2) of ARP, for the first address of the sender's /24 where none is named."""
    sender = ipaddress.IPv4Address(address).packed
    asked = sender[:3] + b"\x01" if target is None else ipaddress.IPv4Address(target).packed
    return struct.pack("!HHBBH", 1, _IPV4, 6, 4, kind) + octets(mac) + sender + bytes(6) + asked


def honest_arp(mac: str, address: str) -> bytes:
    """Return a frame that every guest may send."""
    return frame(mac, _ARP, arp(mac, address))


def honest_packets(mac: str, four: str, six: str, mark: bytes) -> list[bytes]:
    """Return packets from the guest's own addresses, also such as look like a lie at first sight."""
    echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + mark.ljust(1472, b".")
    echo6 = struct.pack("!BBHHH", 128, 0, 0, 1, 1) + mark.ljust(1440, b".")
    asks = solicit(FOREIGN_6, mac)
    return [
        frame(mac, _IPV4, ip4(four, udp(9, 9, mark))),
        frame(mac, _IPV6, ip6(six, _UDP, udp(9, 9, mark))),
        frame(mac, _IPV6, ip6(link_local(mac), _UDP, udp(9, 9, mark))),
        frame(mac, _IPV6, ip6(six, _ICMPV6, asks)),
        frame(mac, _IPV6, ip6(link_local(mac), _ICMPV6, asks)),
        # A solicitation from nobody, with a nonce by which it knows its own echo (RFC 7527).
        frame(mac, _IPV6, ip6("::", _ICMPV6, solicit(six) + bytes([14, 1]) + b"nonce!")),
        frame(mac, _IPV6, ip6(six, _ICMPV6, advertise(six, mac))),
        # A ping larger than a frame, in two pieces.
        frame(mac, _IPV4, ip4(four, echo[:1480], protocol=_ICMP, more=True)),
        frame(mac, _IPV4, ip4(four, mark * 2, protocol=_ICMP, piece=185)),
        frame(mac, _IPV6, ip6(six, _FRAGMENT, piece(_ICMPV6, echo6))),
        frame(mac, _IPV6, ip6(six, _FRAGMENT, piece(_ICMPV6, mark * 2, at=181))),
    ]


def renewal(mac: str, four: str) -> bytes:
    """Return a client's wish to keep its address, sent from there (RFC 2131); no frame of it leaves the host."""
    asks = bootp(mac, kind=3)
    return frame(
        mac, _IPV4, ip4(four, udp(68, 67, asks[:12] + ipaddress.IPv4Address(four).packed + asks[16:]))
    )


def udp(source: int, to: int, mark: bytes) -> bytes:
    """Return a datagram without a checksum."""
    return struct.pack("!HHHH", source, to, 8 + len(mark), 0) + mark


def bootp(mac: str, *, kind: int = 1, options: bytes = b"") -> bytes:
    """Return a message of DHCP about one MAC: 1 asks for an offer (RFC 2131); `options` come before the last."""
    head = bytes([1, 1, 6, 0]) + b"lies" + bytes(20) + octets(mac).ljust(16, b"\0") + bytes(192)
    return head + b"\x63\x82\x53\x63" + bytes([53, 1, kind]) + options + b"\xff"


def solicit(target: str, mac: str | None = None) -> bytes:
    """Return a neighbour solicitation (RFC 4861), whose sender may say that this is its MAC."""
    head = struct.pack("!BBHI", 135, 0, 0, 0) + ipaddress.IPv6Address(target).packed
    return head if mac is None else head + option_of_mac(1, mac)


def advertise(target: str, mac: str) -> bytes:
    """Return a neighbour advertisement (RFC 4861) of whoever has an address, and its MAC."""
    head = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + ipaddress.IPv6Address(target).packed
    return head + option_of_mac(2, mac)


def option_of_mac(kind: int, mac: str) -> bytes:
    """Return the option of neighbour discovery that tells a MAC: 1 of the sender, 2 of the target."""
    return bytes([kind, 1]) + octets(mac)


def ip4(source: str, payload: bytes, *, piece: int = 0, more: bool = False, protocol: int = _UDP) -> bytes:
    """Return an IPv4 packet to all, or a piece of it: `piece` counts the eights of bytes before it, `more` come after."""
    ends = ipaddress.IPv4Address(source).packed + bytes([255] * 4)
    place = piece | (_MORE if more else 0)
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 0, place, 64, protocol)
    total = sum(struct.unpack("!9H", start + ends))
    total = (total & 0xFFFF) + (total >> 16)
    return start + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + ends + payload


def piece(kind: int, payload: bytes, *, at: int = 0) -> bytes:
    """Return a piece of an IPv6 packet: the first, or the last behind `at` eights of bytes."""
    return struct.pack("!BBHI", kind, 0, at << 3 if at else 1, 7) + payload


def ip6(source: str, kind: int, payload: bytes) -> bytes:
    """Return an IPv6 packet to all nodes."""
    head = struct.pack("!IHBB", 6 << 28, len(payload), kind, 255)
    return head + ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address("ff02::1").packed + payload


def link_local(mac: str) -> str:
    """Return the link-local address that follows from a MAC (RFC 4291, appendix A)."""
    raw = octets(mac)
    whole = bytes.fromhex("fe80000000000000") + bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]
    return str(ipaddress.IPv6Address(whole))


def octets(mac: str) -> bytes:
    """Return a MAC's bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def main() -> None:
    """Send them all out of one interface."""
    interface, four, six, mark = sys.argv[1], sys.argv[2], sys.argv[3], bytes.fromhex(sys.argv[4])
    mac = Path("/sys/class/net", interface, "address").read_text().strip()
    sent = lies(mac, four, six, mark)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
        opened.bind((interface, 0))
        for each, _ in sent.values():
            opened.send(each)
    sys.stdout.write(f"sent {len(sent)}\n")


if __name__ == "__main__":
    main()
