"""Runs inside a guest, as root: sends one frame of every kind that a guest must not send.

Usage: spoof.py INTERFACE IPV4 IPV6 MARK-IN-HEX. It needs nothing but Python.
"""

import ipaddress
import socket
import struct
import sys
from pathlib import Path

FOREIGN_MAC, FOREIGN_4, FOREIGN_6 = bytes.fromhex("525400666666"), "10.78.0.66", "fd00:78::66"


def main() -> None:
    """Send them all."""
    interface, four, six, mark = sys.argv[1], sys.argv[2], sys.argv[3], bytes.fromhex(sys.argv[4])
    mac = bytes.fromhex(Path("/sys/class/net", interface, "address").read_text().strip().replace(":", ""))
    link_local = ipaddress.IPv6Address(
        bytes.fromhex("fe80000000000000") + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    )
    advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + mark
    neighbour = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + ipaddress.IPv6Address(FOREIGN_6).packed + mark
    frames = [
        frame(FOREIGN_MAC, 0x0800, ip4(four, udp(9, 9, mark))),
        frame(mac, 0x8100, struct.pack("!HH", 5, 0x0800) + ip4(four, udp(9, 9, mark))),
        frame(mac, 0x0806, arp(mac, FOREIGN_4) + mark),
        frame(mac, 0x0806, arp(FOREIGN_MAC, four) + mark),
        frame(mac, 0x0800, ip4(FOREIGN_4, udp(9, 9, mark))),
        frame(mac, 0x86DD, ip6(FOREIGN_6, 17, udp(9, 9, mark))),
        frame(mac, 0x86DD, ip6("fe80::1", 17, udp(9, 9, mark))),
        frame(mac, 0x86DD, ip6(six, 58, neighbour)),
        frame(mac, 0x86DD, ip6(str(link_local), 58, advert)),
        frame(mac, 0x86DD, ip6(str(link_local), 0, bytes([58, 0, 1, 4, 0, 0, 0, 0]) + advert)),
        frame(mac, 0x0800, ip4(four, udp(67, 68, mark))),
        frame(mac, 0x86DD, ip6(str(link_local), 17, udp(547, 546, mark))),
        frame(mac, 0x88CC, mark),
    ]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
        opened.bind((interface, 0))
        for each in frames:
            opened.send(each)
    sys.stdout.write(f"sent {len(frames)}\n")


def frame(source: bytes, kind: int, body: bytes) -> bytes:
    """Return an Ethernet frame to all."""
    return (b"\xff" * 6 + source + struct.pack("!H", kind) + body).ljust(60, b"\0")


def arp(mac: bytes, address: str) -> bytes:
    """Return an ARP request."""
    sender = mac + ipaddress.IPv4Address(address).packed
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + sender + bytes(6) + bytes([10, 78, 0, 1])


def udp(source: int, to: int, mark: bytes) -> bytes:
    """Return a datagram without a checksum."""
    return struct.pack("!HHHH", source, to, 8 + len(mark), 0) + mark


def ip4(source: str, payload: bytes) -> bytes:
    """Return an IPv4 packet to all."""
    ends = ipaddress.IPv4Address(source).packed + bytes([255] * 4)
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0, 64, 17)
    total = sum(struct.unpack("!9H", start + ends))
    total = (total & 0xFFFF) + (total >> 16)
    return start + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + ends + payload


def ip6(source: str, kind: int, payload: bytes) -> bytes:
    """Return an IPv6 packet to all nodes."""
    head = struct.pack("!IHBB", 6 << 28, len(payload), kind, 255)
    return head + ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address("ff02::1").packed + payload


main()
