"""What a guest that lies sends: one frame of every kind that a guest must not send, and honest ones beside them.

Tests import it; inside a real guest it runs as a script, as root, and so it needs nothing but Python.

Usage: spoof.py INTERFACE IPV4 IPV6 MARK-IN-HEX
"""

import ipaddress
import socket
import struct
import sys
from pathlib import Path

FOREIGN_MAC, FOREIGN_4, FOREIGN_6 = "52:54:00:66:66:66", "10.254.0.66", "fd00:fe::66"
_IPV4, _ARP, _VLAN, _IPV6, _LLDP = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88CC
_UDP, _ICMPV6 = 17, 58


def lies(mac: str, four: str, six: str, mark: bytes) -> dict[str, tuple[bytes, str]]:
    """Return a frame for each trick, and what its host counts it as."""
    local = link_local(mac)
    advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + mark
    neighbour = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + ipaddress.IPv6Address(FOREIGN_6).packed + mark
    hop_by_hop = bytes([_ICMPV6, 0, 1, 4, 0, 0, 0, 0])
    return {
        "another MAC": (frame(FOREIGN_MAC, _IPV4, ip4(four, udp(9, 9, mark))), "mac"),
        "a VLAN tag": (
            frame(mac, _VLAN, struct.pack("!HH", 5, _IPV4) + ip4(four, udp(9, 9, mark))),
            "vlan",
        ),
        "ARP for another address": (frame(mac, _ARP, arp(mac, FOREIGN_4) + mark), "arp"),
        "ARP with another MAC": (frame(mac, _ARP, arp(FOREIGN_MAC, four) + mark), "arp"),
        "another IPv4 address": (frame(mac, _IPV4, ip4(FOREIGN_4, udp(9, 9, mark))), "ipv4"),
        "another IPv6 address": (frame(mac, _IPV6, ip6(FOREIGN_6, _UDP, udp(9, 9, mark))), "ipv6"),
        "the router's link-local address": (frame(mac, _IPV6, ip6("fe80::1", _UDP, udp(9, 9, mark))), "ipv6"),
        "a neighbour's advertisement": (frame(mac, _IPV6, ip6(six, _ICMPV6, neighbour)), "nd"),
        "a router advertisement": (frame(mac, _IPV6, ip6(local, _ICMPV6, advert)), "ra"),
        "one behind another header": (frame(mac, _IPV6, ip6(local, 0, hop_by_hop + advert)), "ra"),
        "a DHCP server": (frame(mac, _IPV4, ip4(four, udp(67, 68, mark))), "dhcp"),
        "a DHCPv6 server": (frame(mac, _IPV6, ip6(local, _UDP, udp(547, 546, mark))), "dhcp"),
        "another protocol": (frame(mac, _LLDP, mark), "other"),
    }


def frame(source: str, kind: int, body: bytes) -> bytes:
    """Return an Ethernet frame to all."""
    return (b"\xff" * 6 + octets(source) + struct.pack("!H", kind) + body).ljust(60, b"\0")


def arp(mac: str, address: str) -> bytes:
    """Return an ARP request for the first address of the sender's /24."""
    sender = ipaddress.IPv4Address(address).packed
    return struct.pack("!HHBBH", 1, _IPV4, 6, 4, 1) + octets(mac) + sender + bytes(6) + sender[:3] + b"\x01"


def honest_arp(mac: str, address: str) -> bytes:
    """Return a frame that every guest may send."""
    return frame(mac, _ARP, arp(mac, address))


def honest_packets(mac: str, four: str, six: str, mark: bytes) -> list[bytes]:
    """Return a packet from each of the guest's own addresses."""
    return [
        frame(mac, _IPV4, ip4(four, udp(9, 9, mark))),
        frame(mac, _IPV6, ip6(six, _UDP, udp(9, 9, mark))),
        frame(mac, _IPV6, ip6(link_local(mac), _UDP, udp(9, 9, mark))),
    ]


def udp(source: int, to: int, mark: bytes) -> bytes:
    """Return a datagram without a checksum."""
    return struct.pack("!HHHH", source, to, 8 + len(mark), 0) + mark


def ip4(source: str, payload: bytes) -> bytes:
    """Return an IPv4 packet to all."""
    ends = ipaddress.IPv4Address(source).packed + bytes([255] * 4)
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0, 64, _UDP)
    total = sum(struct.unpack("!9H", start + ends))
    total = (total & 0xFFFF) + (total >> 16)
    return start + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + ends + payload


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
