"""Frames that the agent sends and understands: checked against an independent reading of the RFCs."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.agent.net import packets
from innkeeper.agent.net.packets import Advert
from innkeeper.agent.net.port_rules import link_local

MAC = "02:00:5e:10:00:01"
ADVERT = Advert(
    source="fe80::1",
    source_mac=MAC,
    is_router=True,
    names_mac=False,
    prefix="2001:db8:7::/64",
    mtu=1400,
    dns=("2001:db8::53",),
    search_domains=("guests.example",),
)


def options(frame: bytes) -> dict[int, bytes]:
    """Return the options of an advertisement, each with its two bytes of head."""
    found, rest = {}, frame[14 + 40 + 16 :]
    while rest:
        length = rest[1] * 8
        assert length > 0
        found[rest[0]], rest = rest[:length], rest[length:]
    return found


def sum_of(frame: bytes) -> int:
    """Return the ones' complement sum over pseudo header and message: 0xFFFF when the checksum is right."""
    header, message = frame[14:54], frame[54:]
    data = header[8:40] + struct.pack("!II", len(message), 58) + message
    total = sum(int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big") for at in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_an_arp_question_says_nothing_of_who_asks() -> None:
    frame = packets.question(ipaddress.ip_address("192.0.2.7"), MAC)
    assert frame[:6] == b"\xff" * 6
    assert frame[12:14] == b"\x08\x06"
    assert frame[28:32] == bytes(4), "a probe has no sender address (RFC 5227)"
    assert frame[38:42] == bytes([192, 0, 2, 7])


def test_a_solicitation_goes_to_the_group_of_its_target() -> None:
    frame = packets.question(ipaddress.ip_address("2001:db8::1:2345"), MAC)
    assert frame[:6] == bytes.fromhex("3333ff012345")
    assert ipaddress.IPv6Address(frame[38:54]) == ipaddress.IPv6Address("ff02::1:ff01:2345")
    assert frame[21] == 255
    assert sum_of(frame) == 0xFFFF


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1:2345"])
def test_who_asks_from_nobody_is_about_to_take_the_address(address: str) -> None:
    """RFC 5227, section 2.1.1, and RFC 4862, section 5.4.3: both must leave it."""
    frame = packets.question(ipaddress.ip_address(address), MAC)
    assert packets.claim(frame) == (address, MAC)


def test_who_looks_for_another_machine_claims_nothing_of_its() -> None:
    """It claims its own address in ARP, and nothing where it asks in IPv6."""
    mac = bytes.fromhex(MAC.replace(":", ""))
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + bytes([192, 0, 2, 9]) + bytes(6)
    assert packets.claim(bytes(6) + mac + b"\x08\x06" + body + bytes([192, 0, 2, 7])) == ("192.0.2.9", MAC)
    message = struct.pack("!BBHI", 135, 0, 0, 0) + ipaddress.IPv6Address("2001:db8::7").packed
    ends = ipaddress.IPv6Address("2001:db8::9").packed + bytes(16)
    header = struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + ends
    assert packets.claim(bytes(6) + mac + b"\x86\xdd" + header + message) is None


@pytest.mark.parametrize("operation", [1, 2])
def test_whoever_speaks_arp_claims_its_address(operation: int) -> None:
    """A request of another machine tells as much as an answer."""
    theirs = bytes.fromhex("525400123456")
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + theirs + bytes([192, 0, 2, 7]) + bytes(10)
    frame = bytes(6) + theirs + b"\x08\x06" + body
    assert packets.claim(frame) == ("192.0.2.7", "52:54:00:12:34:56")


def test_a_neighbour_claims_its_target() -> None:
    theirs = bytes.fromhex("525400123456")
    message = struct.pack("!BBHI", 136, 0, 0, 0) + ipaddress.IPv6Address("2001:db8::7").packed
    header = struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + bytes(32)
    assert packets.claim(bytes(6) + theirs + b"\x86\xdd" + header + message) == (
        "2001:db8::7",
        "52:54:00:12:34:56",
    )


@given(st.binary(max_size=120))
def test_no_frame_breaks_the_reader(frame: bytes) -> None:
    packets.claim(frame)
    packets.claim(b"\0" * 12 + b"\x08\x06" + frame)
    packets.claim(b"\0" * 12 + b"\x86\xdd" + frame)


def test_an_advert_tells_router_network_mtu_and_name_servers() -> None:
    frame = packets.advert(ADVERT)
    assert sum_of(frame) == 0xFFFF
    kind, _, _, hops, flags, lifetime = struct.unpack("!BBHBBH", frame[54:62])
    assert (kind, hops, flags, lifetime) == (134, 64, 0xC0, 65535)
    told = options(frame)
    assert told.keys() == {3, 5, 25, 31}
    assert told[3][2:4] == bytes([64, 0x80]), "on the link, and nobody makes an address of it"
    assert ipaddress.IPv6Address(told[3][16:32]) == ipaddress.IPv6Address("2001:db8:7::")
    assert told[5][4:] == struct.pack("!I", 1400)
    assert told[31][8:].startswith(b"\x06guests\x07example\0")


def test_who_is_no_router_has_no_lifetime() -> None:
    told = Advert(source="fe80::2", source_mac=MAC, is_router=False, names_mac=True, prefix="fd00::/64")
    frame = packets.advert(told)
    assert frame[60:62] == bytes(2)
    assert options(frame)[1][2:] == bytes.fromhex(MAC.replace(":", ""))


def test_the_link_local_address_follows_from_the_mac() -> None:
    """RFC 4291, appendix A: the universal bit is turned, and ff:fe comes between the halves."""
    assert link_local("34:56:78:9a:bc:de") == "fe80::3656:78ff:fe9a:bcde"
