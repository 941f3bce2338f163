"""Whether an address is free is asked of the wire itself."""

import asyncio
import ipaddress
import struct

import msgspec
import pytest

from innkeeper.agent.net import wire
from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.links import Link, LinkError
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.packets import question
from innkeeper.agent.net.ports import ports_of
from innkeeper.agent.store.records import AddressInUse
from innkeeper.domain.orders import Order, OrderAddress
from innkeeper.views.host import Network
from tests.kit import spoof
from tests.kit.agent_orders import guest_id, order
from tests.kit.dhcp_client import ask
from tests.kit.host_net import BRIDGE, Ear, HostNet, ip
from tests.kit.lab import until

pytestmark = pytest.mark.lab

NETWORK = Network(bridge=BRIDGE)
SIX = "fd00:9::7"
FOREIGN = "52:54:00:77:77:77"


def dual() -> Order:
    """Return an order with an address of each family."""
    first = order().addresses[0]
    second = OrderAddress(interface="eth0", address=SIX, prefix_length=64, mac=first.mac)
    return order(addresses=[first, second])


async def conflict_beside(site: HostNet, network: HostNetwork, frame: bytes) -> AddressInUse | None:
    """Ask the wire while a frame comes from there, again and again."""
    await network.set_right(Wanted(NETWORK, ()))
    return await conflict_while(site.ear(site.wire), network, [frame])


async def conflict_while(sender: Ear, network: HostNetwork, frames: list[bytes]) -> AddressInUse | None:
    """Ask the wire while somebody sends some frames, again and again."""
    asking = asyncio.create_task(network.conflict(dual(), NETWORK))
    while not asking.done():
        for each in frames:
            sender.send(each)
        await asyncio.wait({asking}, timeout=0.02)
    return asking.result()


def mac_of_wire(site: HostNet) -> str:
    """Return the MAC of the other machine."""
    words = ip("-n", site.wire, "link", "show", "eth0").split()
    return words[words.index("link/ether") + 1]


@pytest.mark.usefixtures("site")
async def test_silence_means_free(network: HostNetwork) -> None:
    assert await network.conflict(dual(), NETWORK) is None


@pytest.mark.parametrize("address", ["10.0.0.11/24", f"{SIX}/64"])
async def test_a_machine_on_the_wire_is_found(site: HostNet, network: HostNetwork, address: str) -> None:
    """The answer names the address and who has it."""
    ip("-n", site.wire, "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
    found = await network.conflict(dual(), NETWORK)
    assert found == AddressInUse(address.partition("/")[0], mac_of_wire(site), "eth0")


@pytest.mark.parametrize("address", ["10.0.0.11", SIX])
async def test_another_machine_that_is_about_to_take_the_address_is_found(
    site: HostNet, network: HostNetwork, address: str
) -> None:
    """It asks at the same moment, and nobody has the address yet."""
    theirs = question(ipaddress.ip_address(address), FOREIGN)
    assert await conflict_beside(site, network, theirs) == AddressInUse(address, FOREIGN, "eth0")


async def test_no_guest_denies_others_their_addresses(site: HostNet, network: HostNetwork) -> None:
    """It sends back each question that it hears, as if it were about to take the address as well."""
    other = order(2)
    wanted = Wanted(NETWORK, (other,))
    await network.prepare(other, lambda: wanted)
    (port,) = ports_of(other, NETWORK)
    reflected = [
        question(ipaddress.ip_address(each.address), mac)
        for each in dual().addresses
        for mac in (port.mac, FOREIGN)
    ]
    assert await conflict_while(site.ear(site.plug(port)), network, reflected) is None
    await network.set_right(wanted)
    told = network._drops.counts
    assert all(told[guest_id(2), why] for why in ("arp", "nd", "mac"))


async def test_a_bridge_without_a_carrier_is_asked_and_one_that_is_down_cannot_be(
    site: HostNet, network: HostNetwork
) -> None:
    """A network that ends at this host has nobody else who could answer; of one that is down nobody knows."""
    for port in bridge_ports(site):
        ip("-n", site.host, "link", "set", port, "nomaster")
    until(lambda: "NO-CARRIER" in ip("-n", site.host, "link", "show", BRIDGE), what="no carrier")
    assert await network.conflict(dual(), NETWORK) is None
    ip("-n", site.host, "link", "set", BRIDGE, "down")
    with pytest.raises(LinkError, match=f"'{BRIDGE}': Network is down"):
        await network.conflict(dual(), NETWORK)


def bridge_ports(site: HostNet) -> list[str]:
    """Return the devices that are ports of the bridge."""
    lines = ip("-n", site.host, "-o", "link", "show", "master", BRIDGE).splitlines()
    return [line.split(":")[1].strip().partition("@")[0] for line in lines]


async def test_two_of_this_hosts_questions_are_no_answer(network: HostNetwork) -> None:
    """Whatever asks them: they have the MAC of the bridge."""
    found = await asyncio.gather(*(network.conflict(dual(), NETWORK) for _ in range(2)))
    assert found == [None, None]


@pytest.mark.parametrize(("vlan", "is_heard"), [(100, False), (0, True)])
async def test_an_answer_of_another_vlan_is_none(
    site: HostNet, network: HostNetwork, *, vlan: int, is_heard: bool
) -> None:
    """The same address may be used there; a tag without a VLAN is a priority alone."""
    tag = struct.pack("!HHH", 0x8100, vlan, 0x0806)
    theirs = b"\xff" * 6 + spoof.octets(FOREIGN) + tag + spoof.arp(FOREIGN, "10.0.0.11")
    found = await conflict_beside(site, network, theirs)
    assert found == (AddressInUse("10.0.0.11", FOREIGN, "eth0") if is_heard else None)


async def test_what_is_no_claim_does_not_reach_who_asks(site: HostNet, network: HostNetwork) -> None:
    """A guest that floods its host with anything else keeps the agent from nothing."""
    await network.set_right(Wanted(NETWORK, ()))
    wire_ear, mac = site.ear(site.wire), mac_of_wire(site)
    index = int(ip("-n", site.host, "link", "show", BRIDGE).split(":")[0])
    bridge = Link(index, BRIDGE, "bridge", None, 1500, "02:00:00:00:00:01", up=True)
    honest = spoof.honest_arp(mac, "10.0.0.99")
    with wire._socket(bridge) as opened:
        for each in spoof.honest_packets(mac, "10.0.0.99", "fd00:9::99", b"mark"):
            wire_ear.send(each)
        wire_ear.send(honest)
        heard: list[bytes] = []

        def has_come() -> bool:
            heard.extend(wire._frames(opened))
            return honest in heard

        until(has_come, what="an honest question")
    assert {frame[12:14] + (frame[54:55] if frame[12:14] == b"\x86\xdd" else b"") for frame in heard} == {
        b"\x08\x06",
        b"\x86\xdd\x87",
        b"\x86\xdd\x88",
    }


async def test_another_guest_of_this_host_is_found(site: HostNet, network: HostNetwork) -> None:
    """The packet filter lets a guest answer for its own address, whoever asks."""
    other = order(2, addresses=order().addresses)
    await network.prepare(other, lambda: Wanted(NETWORK, (other,)))
    (port,) = ports_of(other, NETWORK)
    guest = site.plug(port)
    ip("-n", guest, "addr", "add", "10.0.0.11/24", "dev", "eth0")
    # As the order's own guest it would be no conflict: it may run here already.
    assert await network.conflict(other, NETWORK) is None
    mine = order(addresses=[msgspec.structs.replace(order().addresses[0], mac="02:00:00:00:00:99")])
    assert await network.conflict(mine, NETWORK) == AddressInUse("10.0.0.11", port.mac, "eth0")


async def test_a_machine_that_has_the_guests_mac_as_well_is_found(
    site: HostNet, network: HostNetwork
) -> None:
    """A guest that does not run here is on the wire already: its host was given up, and runs it still."""
    ip("-n", site.wire, "link", "set", "eth0", "address", order().addresses[0].mac)
    ip("-n", site.wire, "addr", "add", "10.0.0.11/24", "dev", "eth0")
    assert await network.conflict(order(), NETWORK) == AddressInUse(
        "10.0.0.11", order().addresses[0].mac, "eth0"
    )


async def test_a_guest_with_the_mac_of_a_link_of_the_host_is_not_taken(
    site: HostNet, network: HostNetwork
) -> None:
    """The bridge would keep its frames for the host."""
    (port,) = ports_of(order(), NETWORK)
    assert await network.missing(order(), NETWORK) is None
    ip("-n", site.host, "link", "add", "other0", "address", port.mac, "type", "bridge")
    assert await network.missing(order(), NETWORK) == (
        f"this host's own link 'other0' has the MAC {port.mac} of the guest's interface 'eth0': "
        "give the interface another"
    )


async def test_an_address_of_the_host_itself_is_found(site: HostNet, network: HostNetwork) -> None:
    """A host does not answer its own questions."""
    ip("-n", site.host, "addr", "add", "10.0.0.11/24", "dev", BRIDGE)
    found = await network.conflict(order(), NETWORK)
    assert found is not None
    assert found.address == "10.0.0.11"


async def test_no_frame_of_dhcp_or_router_advertisement_is_on_the_wire(
    site: HostNet, network: HostNetwork
) -> None:
    """A guest is told its addresses by its host; the wire hears neither the question nor the answer."""
    one = dual()
    await network.set_right(Wanted(NETWORK, (one,)))
    (port,) = ports_of(one, NETWORK)
    guest, wire = site.plug(port), site.ear(site.wire)
    assert ask(site, guest, "-4")["new_ip_address"] == "10.0.0.11"
    assert ask(site, guest, "-6")["new_ip6_address"] == SIX
    marker = site.ear(guest)
    frame = b"\xff" * 6 + bytes.fromhex(port.mac.replace(":", "")) + bytes.fromhex("0806")
    frame += bytes.fromhex("0001080006040001" + port.mac.replace(":", "") + "0a00000b") + bytes(10)
    marker.send(frame)
    wire.hear(frame)
    dhcp = [each for each in wire.frames if each[12:14] == b"\x08\x00" and each[23] == 17]
    dhcp6 = [each for each in wire.frames if each[12:14] == b"\x86\xdd" and each[20] == 17]
    adverts = [each for each in wire.frames if each[12:14] == b"\x86\xdd" and each[54:55] == b"\x86"]
    assert (dhcp, dhcp6, adverts) == ([], [], [])
