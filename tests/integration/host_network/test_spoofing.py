"""A guest that says it is somebody else reaches nobody, and the counters tell what it tried."""

import ipaddress

import pytest
from prometheus_client import CollectorRegistry

from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.packets import question
from innkeeper.agent.net.ports import Port, ports_of
from innkeeper.domain.orders import OrderAddress
from innkeeper.views.host import Network
from tests.kit import spoof
from tests.kit.agent_orders import guest_id, order
from tests.kit.host_net import Ear, HostNet, ip

pytestmark = pytest.mark.lab

NETWORK = Network(bridge="br0")
MARK = b"this-is-the-spoofed-frame"


def dual(number: int) -> tuple[OrderAddress, ...]:
    """Return an IPv4 and an IPv6 address of one guest."""
    first = order(number).addresses[0]
    second = OrderAddress(
        interface="eth0", address=f"fd00:9::{number}", prefix_length=64, mac=first.mac, gateway="fe80::1"
    )
    return first, second


def own(port: Port) -> tuple[str, str, str]:
    """Return MAC, IPv4 and IPv6 address of a port."""
    return port.mac, port.addresses[0].address, port.addresses[1].address


TRICKS = list(spoof.lies("02:00:00:00:00:01", "10.0.0.1", "fd00:9::1", MARK))


@pytest.mark.parametrize("trick", TRICKS)
async def test_who_lies_reaches_nobody(site: HostNet, network: HostNetwork, trick: str) -> None:
    """Neither the wire nor another guest hears it; an honest frame right behind it is heard by both."""
    liar, neighbour = (order(number, addresses=list(dual(number))) for number in (1, 2))
    wanted = Wanted(NETWORK, (liar, neighbour))
    for each in wanted.orders:
        await network.prepare(each, lambda: wanted)
    ports = [ports_of(each, NETWORK)[0] for each in wanted.orders]
    sender, hearer = (site.ear(site.plug(port)) for port in ports)
    wire = site.ear(site.wire)
    lie, why = spoof.lies(*own(ports[0]), MARK)[trick]

    sender.send(lie)
    honest = spoof.honest_arp(*own(ports[0])[:2])
    sender.send(honest)

    for ear in (wire, hearer):
        ear.hear(honest)
        assert not spoof.heard(ear.frames, [lie], MARK)
    await network.set_right(wanted)
    told = network._drops.counts
    assert told[guest_id(1), why] == 1
    assert not any(count for (who, _), count in told.items() if who == guest_id(2))


async def test_what_is_honest_passes(site: HostNet, network: HostNetwork) -> None:
    """With their own addresses packets pass, and so does the question whether an address is free. Nothing is counted."""
    one = order(1, addresses=list(dual(1)))
    wanted = Wanted(NETWORK, (one,))
    await network.prepare(one, lambda: wanted)
    (port,) = ports_of(one, NETWORK)
    sender, wire = site.ear(site.plug(port)), site.ear(site.wire)
    frames = [
        *spoof.honest_packets(*own(port), MARK),
        *(question(ipaddress.ip_address(each.address), port.mac) for each in port.addresses),
    ]
    for frame in frames:
        sender.send(frame)
        wire.hear(frame)
    await network.set_right(wanted)
    assert not any(network._drops.counts.values())


async def test_a_lease_is_renewed_from_its_own_address(site: HostNet, network: HostNetwork) -> None:
    """The DHCP server hears it; the wire does not, and nothing is counted."""
    one = order(1, addresses=list(dual(1)))
    wanted = Wanted(NETWORK, (one,))
    await network.prepare(one, lambda: wanted)
    (port,) = ports_of(one, NETWORK)
    sender, wire = site.ear(site.plug(port)), site.ear(site.wire)
    server = site.ear(site.host, port.segment.inner)
    asked, honest = spoof.renewal(*own(port)[:2]), spoof.honest_arp(*own(port)[:2])
    for frame in (asked, honest):
        sender.send(frame)
    server.hear(asked)
    wire.hear(honest)
    assert asked not in wire.frames
    await network.set_right(wanted)
    assert not any(network._drops.counts.values())


async def test_a_port_without_rules_is_closed(site: HostNet, network: HostNetwork) -> None:
    """A machine that somebody starts behind our back, or before its rules, reaches nobody."""
    await network.set_right(Wanted(NETWORK, (order(1),)))
    (stranger,) = ports_of(order(2), NETWORK)
    (known,) = ports_of(order(1), NETWORK)
    sender, other, wire = site.ear(site.plug(stranger)), site.ear(site.plug(known)), site.ear(site.wire)
    sender.send(spoof.honest_packets(stranger.mac, "10.0.0.12", "fd00:9::2", MARK)[0])
    honest = spoof.honest_arp(known.mac, "10.0.0.11")
    other.send(honest)
    wire.hear(honest)
    assert not [frame for frame in wire.frames if MARK in frame]


async def test_the_wire_cannot_play_router_or_dhcp_server(site: HostNet, network: HostNetwork) -> None:
    """What a guest is told of its network, its own host tells it."""
    one = order(1, addresses=list(dual(1)))
    await network.prepare(one, lambda: Wanted(NETWORK, (one,)))
    (port,) = ports_of(one, NETWORK)
    guest, wire = site.ear(site.plug(port)), site.ear(site.wire)
    lies = spoof.lies(spoof.FOREIGN_MAC, "10.0.0.99", "fd00:9::99", MARK)
    tricks = [
        each
        for each in lies
        if each.startswith(("a router advertisement", "a DHCP server", "a DHCPv6 server"))
    ]
    assert len(tricks) == 5
    for trick in tricks:
        wire.send(lies[trick][0])
    asked = question(ipaddress.ip_address("10.0.0.11"), spoof.FOREIGN_MAC)
    wire.send(asked)
    guest.hear(asked)
    assert not [frame for frame in guest.frames if MARK in frame]


async def test_a_removed_filter_comes_back_and_counts_on(site: HostNet, network: HostNetwork) -> None:
    """A new agent takes over the counters; somebody's change is set right."""
    liar = order(1, addresses=list(dual(1)))
    wanted = Wanted(NETWORK, (liar,))
    await network.prepare(liar, lambda: Wanted(NETWORK, (liar,)))
    (port,) = ports_of(liar, NETWORK)
    sender, wire = site.ear(site.plug(port)), site.ear(site.wire)
    _send_both(sender, wire, port)
    after_restart = HostNetwork(
        site.directory / "network", clock=network._clock, registry=CollectorRegistry(), look_again_s=0.1
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


async def test_a_new_agent_that_starts_one_guest_shuts_out_no_other(
    site: HostNet, network: HostNetwork
) -> None:
    """Its first act may be a build, before it looked at anything: guests that run keep their ports."""
    one, two = (order(number, addresses=list(dual(number))) for number in (1, 2))
    both = Wanted(NETWORK, (one, two))
    await network.prepare(one, lambda: Wanted(NETWORK, (one,)))
    (port,) = ports_of(one, NETWORK)
    runs, wire = site.ear(site.plug(port)), site.ear(site.wire)
    new = HostNetwork(site.directory / "network", clock=network._clock, registry=CollectorRegistry())
    await new.prepare(two, lambda: both)
    honest = spoof.honest_arp(*own(port)[:2])
    runs.send(honest)
    wire.hear(honest)


async def test_a_change_behind_our_back_is_not_taken_for_ours(site: HostNet, network: HostNetwork) -> None:
    """Somebody empties the filter, and a guest starts before the next look: the filter is whole again at once."""
    one, two = (order(number, addresses=list(dual(number))) for number in (1, 2))
    await network.set_right(Wanted(NETWORK, (one,)))
    (port,) = ports_of(one, NETWORK)
    sender, wire = site.ear(site.plug(port)), site.ear(site.wire)
    ip("netns", "exec", site.host, "nft", "flush", "table", "bridge", "innkeeper")
    await network.prepare(two, lambda: Wanted(NETWORK, (one, two)))
    _send_both(sender, wire, port)
    assert not [frame for frame in wire.frames if MARK in frame]
    ip("netns", "exec", site.host, "nft", "flush", "table", "bridge", "innkeeper")
    await network.release(two.guest_id)
    await network.set_right(Wanted(NETWORK, (one,)))
    _send_both(sender, wire, port)
    assert not [frame for frame in wire.frames if MARK in frame]


async def test_a_guest_that_is_gone_leaves_nothing(site: HostNet, network: HostNetwork) -> None:
    """Chains, counters, lease and cable go with it."""
    one = order(1)
    await network.prepare(one, lambda: Wanted(NETWORK, (one,)))
    (port,) = ports_of(one, NETWORK)
    listed = ip("netns", "exec", site.host, "nft", "list", "ruleset")
    assert port.device in listed
    await network.release(one.guest_id)
    await network.set_right(Wanted(NETWORK, ()))
    assert port.device not in ip("netns", "exec", site.host, "nft", "list", "ruleset")
    assert port.segment.server not in ip("-n", site.host, "link", "show")
    assert "dnsmasq" not in ip("netns", "exec", site.host, "ps", "-o", "comm=", "-p", _pids(site))


def _pids(site: HostNet) -> str:
    return ",".join(ip("netns", "pids", site.host).split()) or "1"


def _send_both(sender: Ear, wire: Ear, port: Port) -> None:
    sender.send(spoof.lies(*own(port), MARK)["another IPv4 address"][0])
    honest = spoof.honest_arp(*own(port)[:2])
    sender.send(honest)
    wire.hear(honest)
