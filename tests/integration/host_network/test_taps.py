"""Guests that run are not cut off where their bridge goes and comes again, and are moved by nobody."""

import pytest
from prometheus_client import CollectorRegistry
from pyroute2 import AsyncIPRoute

from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.links import LinkError, Links
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.ports import Port, ports_of
from innkeeper.agent.net.taps import Taps
from innkeeper.views.host import ManagedBridge, Network
from tests.kit import spoof
from tests.kit.agent_orders import order
from tests.kit.host_net import BRIDGE, HostNet, ip, pings

pytestmark = pytest.mark.lab

NETWORK = Network(bridge=BRIDGE)
OURS = "innkeeper0"
MARK = b"this-is-the-spoofed-frame"


def master_of(site: HostNet, device: str) -> str | None:
    """Return the bridge that a device of the host is a port of."""
    words = ip("-n", site.host, "-o", "link", "show", device).split()
    return words[words.index("master") + 1] if "master" in words else None


def make_anew(site: HostNet) -> None:
    """Do what restarts of the host's networking do: the bridge is removed, and made again with its uplink."""
    ip("-n", site.host, "link", "delete", BRIDGE)
    ip("-n", site.host, "link", "add", BRIDGE, "type", "bridge")
    ip("-n", site.host, "link", "set", BRIDGE, "up")
    ip("-n", site.host, "link", "set", "eth0", "master", BRIDGE)


async def look_twice(network: HostNetwork, wanted: Wanted) -> None:
    """Do what the agent does: it looks again at once where a tap is in no bridge."""
    for _ in range(2):
        await network.set_right(wanted)


def plugged(site: HostNet, port: Port) -> str:
    """Plug a guest in; give it and somebody on the wire an address, and return its name."""
    guest = site.plug(port)
    ip("-n", guest, "addr", "add", "10.0.0.11/24", "dev", "eth0")
    ip("-n", site.wire, "addr", "add", "10.0.0.2/24", "dev", "eth0")
    return guest


@pytest.mark.parametrize("is_new", [False, True], ids=["the same agent", "a new agent"])
async def test_guests_come_back_into_a_bridge_that_was_made_anew(
    site: HostNet, network: HostNetwork, *, is_new: bool
) -> None:
    """They reach the wire again, with the same rules as before."""
    wanted = Wanted(NETWORK, (order(),))
    await network.set_right(wanted)
    (port,) = ports_of(order(), NETWORK)
    guest = plugged(site, port)
    make_anew(site)
    if is_new:
        network = HostNetwork(site.directory / "network", clock=network._clock, registry=CollectorRegistry())
    await look_twice(network, wanted)
    assert pings(guest, "10.0.0.2")

    sender, wire = site.ear(guest), site.ear(site.wire)
    sender.send(spoof.lies(port.mac, "10.0.0.11", "fd00:9::1", MARK)["another IPv4 address"][0])
    honest = spoof.honest_arp(port.mac, "10.0.0.11")
    sender.send(honest)
    wire.hear(honest)
    assert not [frame for frame in wire.frames if MARK in frame]


async def test_guests_come_back_into_a_bridge_of_ours(site: HostNet, network: HostNetwork) -> None:
    managed = Network(managed=ManagedBridge())
    wanted = Wanted(managed, (order(),))
    await network.set_right(wanted)
    (port,) = ports_of(order(), managed)
    site.plug(port, bridge=OURS)
    ip("-n", site.host, "link", "delete", OURS)
    await look_twice(network, wanted)
    assert master_of(site, port.device) == OURS


async def test_a_tap_that_somebody_set_down_is_up_again(site: HostNet, network: HostNetwork) -> None:
    """Its guest is heard again, also one that was taken out of its bridge before."""
    wanted = Wanted(NETWORK, (order(),))
    await network.set_right(wanted)
    (port,) = ports_of(order(), NETWORK)
    guest = plugged(site, port)
    ip("-n", site.host, "link", "set", port.device, "down")
    await network.set_right(wanted)
    assert pings(guest, "10.0.0.2")
    ip("-n", site.host, "link", "set", port.device, "nomaster", "down")
    await look_twice(network, wanted)
    assert pings(guest, "10.0.0.2")


async def test_a_tap_that_its_hypervisor_is_about_to_plug_in_is_left_to_it(
    site: HostNet, network: HostNetwork
) -> None:
    """It makes the tap and then plugs it in; what it finds in a bridge already it takes for another's."""
    wanted = Wanted(NETWORK, (order(),))
    await network.set_right(wanted)
    (port,) = ports_of(order(), NETWORK)
    for _ in range(2):
        # The guest that starts a second time has another tap of the same name.
        guest = site.plug(port)
        ip("-n", site.host, "link", "set", port.device, "nomaster")
        await network.set_right(wanted)
        assert master_of(site, port.device) is None
        assert network._stale.is_set(), "it looks again at once"
        network._stale.clear()
        site.unplug(guest)


async def test_the_start_of_one_guest_plugs_no_other_in(site: HostNet, network: HostNetwork) -> None:
    """What is wrong with another guest's tap is told by the next look, and keeps none from its start."""
    both = Wanted(NETWORK, (order(), order(2)))
    await network.set_right(both)
    (port,) = ports_of(order(), NETWORK)
    site.plug(port)
    make_anew(site)
    for _ in range(2):
        await network.prepare(order(2), lambda: both)
    assert master_of(site, port.device) is None
    await look_twice(network, both)
    assert master_of(site, port.device) == BRIDGE


async def test_a_tap_that_goes_meanwhile_is_no_trouble(site: HostNet) -> None:
    """Its guest ends while the agent looks."""
    (port,) = ports_of(order(), NETWORK)
    guest = site.plug(port)
    ip("-n", site.host, "link", "set", port.device, "nomaster")
    taps = Taps()
    async with AsyncIPRoute() as route:
        links = Links(route)
        await links.read()
        bridge = links.existing_bridge(BRIDGE)
        assert await taps.plug_in(links, [port], bridge=bridge)
        site.unplug(guest)
        assert not await taps.plug_in(links, [port], bridge=bridge)
        assert links.get(port.device) is None
        assert taps.moved(links, [port]) is None


async def test_a_tap_that_somebody_moved_is_told_and_left(site: HostNet, network: HostNetwork) -> None:
    """The host cannot know why; other guests start, and keep their leases."""
    wanted = Wanted(NETWORK, (order(),))
    await network.set_right(wanted)
    (port,) = ports_of(order(), NETWORK)
    site.plug(port)
    await network.set_right(wanted)
    ip("-n", site.host, "link", "add", "br9", "type", "bridge")
    ip("-n", site.host, "link", "set", port.device, "master", "br9")
    for _ in range(2):
        with pytest.raises(LinkError, match=f"{port.device}.*'br9' and no more of 'br0'"):
            await network.set_right(wanted)
    await network.prepare(order(2), lambda: Wanted(NETWORK, (order(), order(2))))
    assert master_of(site, port.device) == "br9"
    ip("-n", site.host, "link", "set", port.device, "master", BRIDGE)
    await network.set_right(wanted)


async def test_a_change_of_the_clusters_network_moves_nobody(site: HostNet, network: HostNetwork) -> None:
    """It is no trouble of the host either: the guest comes into the new network at its next start."""
    await network.set_right(Wanted(NETWORK, (order(),)))
    (port,) = ports_of(order(), NETWORK)
    site.plug(port)
    await network.set_right(Wanted(NETWORK, (order(),)))
    changed = Wanted(Network(managed=ManagedBridge()), (order(),))
    for _ in range(2):
        await network.set_right(changed)
    assert master_of(site, port.device) == BRIDGE
