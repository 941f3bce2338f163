"""A guest that says it is somebody else reaches nobody, and the counters tell what it tried."""

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from innkeeper.agent.net import packets
from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.packets import question
from innkeeper.agent.net.ports import Port, ports_of
from innkeeper.agent.net.rules import link_local
from innkeeper.domain.orders import OrderAddress
from innkeeper.views.host import Network
from tests.kit.agent_orders import guest_id, order
from tests.kit.host_net import Ear, HostNet, ip

pytestmark = pytest.mark.lab

NETWORK = Network(bridge="br0")
FOREIGN_MAC = "52:54:00:66:66:66"
FOREIGN_4, FOREIGN_6 = "10.0.0.66", "fd00:9::66"
MARK = b"this-is-the-spoofed-frame"


def dual(number: int) -> tuple[OrderAddress, ...]:
    """Return an IPv4 and an IPv6 address of one guest."""
    first = order(number).addresses[0]
    second = OrderAddress(
        interface="eth0", address=f"fd00:9::{number}", prefix_length=64, mac=first.mac, gateway="fe80::1"
    )
    return first, second


@dataclass
class Spoofer:
    """What a guest that lies sends."""

    port: Port

    @property
    def ip4(self) -> str:
        return self.port.addresses[0].address

    @property
    def ip6(self) -> str:
        return self.port.addresses[1].address

    def mac(self) -> bytes:
        return _eth(0x0800, _ip4(self.ip4, _udp(9, 9)), source=FOREIGN_MAC)

    def vlan(self) -> bytes:
        return _eth(0x8100, struct.pack("!HH", 5, 0x0800) + _ip4(self.ip4, _udp(9, 9)), source=self.port.mac)

    def arp_address(self) -> bytes:
        return _eth(0x0806, _arp(self.port.mac, FOREIGN_4) + MARK, source=self.port.mac)

    def arp_mac(self) -> bytes:
        return _eth(0x0806, _arp(FOREIGN_MAC, self.ip4) + MARK, source=self.port.mac)

    def ipv4(self) -> bytes:
        return _eth(0x0800, _ip4(FOREIGN_4, _udp(9, 9)), source=self.port.mac)

    def ipv6(self) -> bytes:
        return _eth(0x86DD, _ip6(FOREIGN_6, 17, _udp(9, 9)), source=self.port.mac)

    def foreign_link_local(self) -> bytes:
        return _eth(0x86DD, _ip6("fe80::1", 17, _udp(9, 9)), source=self.port.mac)

    def neighbour(self) -> bytes:
        body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + ipaddress.IPv6Address(FOREIGN_6).packed + MARK
        return _eth(0x86DD, _ip6(self.ip6, 58, body), source=self.port.mac)

    def router(self) -> bytes:
        body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + MARK
        return _eth(0x86DD, _ip6(link_local(self.port.mac), 58, body), source=self.port.mac)

    def hidden_router(self) -> bytes:
        """Hide an advertisement behind a hop-by-hop header, as attackers do."""
        body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + MARK
        hop_by_hop = bytes([58, 0, 1, 4, 0, 0, 0, 0])
        return _eth(0x86DD, _ip6(link_local(self.port.mac), 0, hop_by_hop + body), source=self.port.mac)

    def dhcp_server(self) -> bytes:
        return _eth(0x0800, _ip4(self.ip4, _udp(67, 68)), source=self.port.mac)

    def dhcp6_server(self) -> bytes:
        return _eth(0x86DD, _ip6(link_local(self.port.mac), 17, _udp(547, 546)), source=self.port.mac)

    def other(self) -> bytes:
        return _eth(0x88CC, MARK, source=self.port.mac)


TRICKS: dict[str, tuple[Callable[[Spoofer], bytes], str]] = {
    "another MAC": (Spoofer.mac, "mac"),
    "a VLAN tag": (Spoofer.vlan, "vlan"),
    "ARP for another address": (Spoofer.arp_address, "arp"),
    "ARP with another MAC": (Spoofer.arp_mac, "arp"),
    "another IPv4 address": (Spoofer.ipv4, "ipv4"),
    "another IPv6 address": (Spoofer.ipv6, "ipv6"),
    "the router's link-local address": (Spoofer.foreign_link_local, "ipv6"),
    "a neighbour's advertisement": (Spoofer.neighbour, "nd"),
    "a router advertisement": (Spoofer.router, "ra"),
    "a hidden router advertisement": (Spoofer.hidden_router, "ra"),
    "a DHCP server": (Spoofer.dhcp_server, "dhcp"),
    "a DHCPv6 server": (Spoofer.dhcp6_server, "dhcp"),
    "another protocol": (Spoofer.other, "other"),
}


@pytest.mark.parametrize("trick", TRICKS)
async def test_who_lies_reaches_nobody(site: HostNet, network: HostNetwork, trick: str) -> None:
    """Neither the wire nor another guest hears it; an honest frame right behind it is heard by both."""
    liar, neighbour = (order(number, addresses=list(dual(number))) for number in (1, 2))
    wanted = Wanted(NETWORK, (liar, neighbour))
    for each in wanted.orders:
        await network.prepare(each, NETWORK)
    ports = [ports_of(each, NETWORK)[0] for each in wanted.orders]
    sender, hearer = (site.ear(site.plug(port)) for port in ports)
    wire = site.ear(site.wire)
    make, why = TRICKS[trick]

    sender.send(make(Spoofer(ports[0])))
    honest = _eth(0x0806, _arp(ports[0].mac, ports[0].addresses[0].address), source=ports[0].mac)
    sender.send(honest)

    for ear in (wire, hearer):
        ear.hear(honest)
        assert not [frame for frame in ear.frames if MARK in frame]
    await network.set_right(wanted)
    told = network._drops.counts
    assert told[guest_id(1), why] == 1
    assert not any(count for (who, _), count in told.items() if who == guest_id(2))


async def test_what_is_honest_passes(site: HostNet, network: HostNetwork) -> None:
    """IPv4 and IPv6 with their own addresses pass, and so does the question whether an address is free."""
    one = order(1, addresses=list(dual(1)))
    await network.prepare(one, NETWORK)
    (port,) = ports_of(one, NETWORK)
    sender, wire = site.ear(site.plug(port)), site.ear(site.wire)
    honest = Spoofer(port)
    frames = [
        _eth(0x0800, _ip4(honest.ip4, _udp(9, 9)), source=port.mac),
        _eth(0x86DD, _ip6(honest.ip6, 17, _udp(9, 9)), source=port.mac),
        _eth(0x86DD, _ip6(link_local(port.mac), 17, _udp(9, 9)), source=port.mac),
        question(ipaddress.ip_address(honest.ip4), port.mac),
        question(ipaddress.ip_address(honest.ip6), port.mac),
    ]
    for frame in frames:
        sender.send(frame)
        wire.hear(frame)


async def test_a_port_without_rules_is_closed(site: HostNet, network: HostNetwork) -> None:
    """A machine that somebody starts behind our back, or before its rules, reaches nobody."""
    await network.set_right(Wanted(NETWORK, (order(1),)))
    (stranger,) = ports_of(order(2), NETWORK)
    (known,) = ports_of(order(1), NETWORK)
    sender, other, wire = site.ear(site.plug(stranger)), site.ear(site.plug(known)), site.ear(site.wire)
    sender.send(_eth(0x0806, _arp(stranger.mac, "10.0.0.12") + MARK, source=stranger.mac))
    honest = _eth(0x0806, _arp(known.mac, "10.0.0.11"), source=known.mac)
    other.send(honest)
    wire.hear(honest)
    assert not [frame for frame in wire.frames if MARK in frame]


async def test_the_wire_cannot_play_router_or_dhcp_server(site: HostNet, network: HostNetwork) -> None:
    """What a guest is told of its network, its own host tells it."""
    one = order(1, addresses=list(dual(1)))
    await network.prepare(one, NETWORK)
    (port,) = ports_of(one, NETWORK)
    guest, wire = site.ear(site.plug(port)), site.ear(site.wire)
    stranger = Spoofer(port)
    for frame in (stranger.router(), stranger.dhcp_server(), stranger.dhcp6_server()):
        wire.send(frame[:6] + bytes.fromhex(FOREIGN_MAC.replace(":", "")) + frame[12:])
    asked = question(ipaddress.ip_address("10.0.0.11"), FOREIGN_MAC)
    wire.send(asked)
    guest.hear(asked)
    assert not [frame for frame in guest.frames if MARK in frame]


async def test_a_removed_filter_comes_back_and_counts_on(site: HostNet, network: HostNetwork) -> None:
    """A new agent takes over the counters; somebody's change is set right."""
    liar = order(1, addresses=list(dual(1)))
    wanted = Wanted(NETWORK, (liar,))
    await network.prepare(liar, NETWORK)
    (port,) = ports_of(liar, NETWORK)
    sender, wire = site.ear(site.plug(port)), site.ear(site.wire)
    _send_both(sender, wire, port)
    after_restart = HostNetwork(
        site.directory / "network", clock=network._clock, registry=_registry(), look_again_s=0.1
    )
    await after_restart.set_right(wanted)
    assert after_restart._drops.counts[guest_id(1), "ipv4"] == 1

    ip("netns", "exec", site.host, "nft", "delete", "table", "bridge", "innkeeper")
    await after_restart.set_right(wanted)
    _send_both(sender, wire, port)
    await after_restart.set_right(wanted)
    assert after_restart._drops.counts[guest_id(1), "ipv4"] == 1
    assert not [frame for frame in wire.frames if MARK in frame]

    ip("netns", "exec", site.host, "nft", "flush", "chain", "bridge", "innkeeper", port.device)
    await after_restart.set_right(wanted)
    _send_both(sender, wire, port)
    assert not [frame for frame in wire.frames if MARK in frame]


async def test_a_guest_that_is_gone_leaves_nothing(site: HostNet, network: HostNetwork) -> None:
    """Chains, counters, lease and cable go with it."""
    one = order(1)
    await network.prepare(one, NETWORK)
    (port,) = ports_of(one, NETWORK)
    listed = ip("netns", "exec", site.host, "nft", "list", "ruleset")
    assert port.device in listed
    await network.release(one.guest_id)
    await network.set_right(Wanted(NETWORK, ()))
    assert port.device not in ip("netns", "exec", site.host, "nft", "list", "ruleset")
    assert "ikd" not in ip("-n", site.host, "link", "show")
    assert "dnsmasq" not in ip("netns", "exec", site.host, "ps", "-o", "comm=", "-p", _pids(site))


def _pids(site: HostNet) -> str:
    return ",".join(ip("netns", "pids", site.host).split()) or "1"


def _registry() -> object:
    from prometheus_client import CollectorRegistry

    return CollectorRegistry()


def _send_both(sender: Ear, wire: Ear, port: Port) -> None:
    sender.send(Spoofer(port).ipv4())
    honest = _eth(0x0806, _arp(port.mac, port.addresses[0].address), source=port.mac)
    sender.send(honest)
    wire.hear(honest)


def _eth(kind: int, body: bytes, *, source: str) -> bytes:
    frame = b"\xff" * 6 + bytes.fromhex(source.replace(":", "")) + struct.pack("!H", kind) + body
    return frame.ljust(60, b"\0")


def _arp(mac: str, address: str) -> bytes:
    sender = bytes.fromhex(mac.replace(":", "")) + ipaddress.IPv4Address(address).packed
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + sender + bytes(6) + bytes([10, 0, 0, 1])


def _udp(source: int, to: int) -> bytes:
    return struct.pack("!HHHH", source, to, 8 + len(MARK), 0) + MARK


def _ip4(source: str, payload: bytes) -> bytes:
    ends = ipaddress.IPv4Address(source).packed + bytes([255] * 4)
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0, 64, 17)
    return start + struct.pack("!H", packets._checksum(start + ends)) + ends + payload


def _ip6(source: str, kind: int, payload: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), kind, 255)
    return head + ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address("ff02::1").packed + payload
