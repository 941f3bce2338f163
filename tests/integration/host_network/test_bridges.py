"""The cluster's network as state: made where it is ours to make, set right again, never taken from who runs on it."""

import errno
import ipaddress
import re
import subprocess

import msgspec
import pytest
import structlog
from prometheus_client import CollectorRegistry

from innkeeper.agent.net import packets, sysctl
from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.links import LinkError
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.nft import FilterError, Nft
from innkeeper.agent.net.packets import Advert
from innkeeper.agent.net.port_rules import link_local
from innkeeper.agent.net.ports import ports_of
from innkeeper.clock import SystemClock
from innkeeper.domain.orders import Order, OrderAddress
from innkeeper.views.host import ManagedBridge, Network
from tests.kit.agent_orders import order
from tests.kit.host_net import BRIDGE, HostNet, ip, pings
from tests.kit.lab import until

pytestmark = pytest.mark.lab

OURS = "innkeeper0"
ROUTER = Advert(
    source=link_local("52:54:00:00:00:01"),
    source_mac="52:54:00:00:00:01",
    is_router=True,
    names_mac=True,
    prefix="2001:db8:7::/64",
)


async def test_a_bridge_that_should_exist_and_does_not_is_told(network: HostNetwork) -> None:
    assert await network.missing(order(), Network(bridge="br9")) == "this host has no bridge 'br9'"
    with pytest.raises(LinkError, match="br9"):
        await network.set_right(Wanted(Network(bridge="br9"), ()))


async def test_a_managed_bridge_with_an_uplink_joins_the_wire(site: HostNet, network: HostNetwork) -> None:
    """The agent makes the bridge, takes the uplink, and a guest reaches the wire; who removes a part gets it back."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    ip("-n", site.wire, "addr", "add", "10.0.0.2/24", "dev", "eth0")
    managed = Network(managed=ManagedBridge(uplink="eth0"), mtu=1400)
    wanted = Wanted(managed, (order(),))
    assert await network.missing(order(), managed) is None
    (interface,) = await network.prepare(order(), lambda: Wanted(managed, (order(),)))
    assert interface.bridge == OURS
    (port,) = ports_of(order(), managed)
    guest = site.plug(port, bridge=OURS)
    ip("-n", guest, "addr", "add", "10.0.0.11/24", "dev", "eth0")
    assert pings(guest, "10.0.0.2")
    assert "mtu 1400" in ip("-n", site.host, "link", "show", OURS)

    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    ip("-n", site.host, "link", "set", OURS, "down")
    await network.set_right(wanted)
    assert pings(guest, "10.0.0.2")


async def test_an_uplink_in_use_is_not_taken(site: HostNet, network: HostNetwork) -> None:
    """Whoever is reached over it would be cut off."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    ip("-n", site.host, "addr", "add", "192.0.2.7/24", "dev", "eth0")
    with pytest.raises(LinkError, match="has an address"):
        await network.set_right(Wanted(Network(managed=ManagedBridge(uplink="eth0")), ()))
    with pytest.raises(LinkError, match="no interface 'eth7'"):
        await network.set_right(Wanted(Network(managed=ManagedBridge(uplink="eth7")), ()))
    assert BRIDGE not in ip("-n", site.host, "link", "show", "eth0")


async def test_a_name_that_is_no_bridge_is_told(site: HostNet, network: HostNetwork) -> None:
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    with pytest.raises(LinkError, match="no bridge"):
        await network.set_right(Wanted(Network(managed=ManagedBridge(bridge="eth0")), ()))


async def test_guests_behind_nat_reach_the_world_and_each_other(site: HostNet, network: HostNetwork) -> None:
    """The host has their gateways' addresses, IPv4 and IPv6, and hides them behind its own."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    for number, namespace in enumerate((site.host, site.wire), start=1):
        ip("-n", namespace, "addr", "add", f"198.51.100.{number}/24", "dev", "eth0")
        ip("-n", namespace, "addr", "add", f"2001:db8:1::{number}/64", "dev", "eth0", "nodad")
    nat = Network(managed=ManagedBridge(nat=True))
    guests: list[str] = []
    orders: list[Order] = []
    for number in (1, 2):
        first = order(number).addresses[0]
        second = OrderAddress(
            interface="eth0",
            address=f"fd00:9::{number}",
            prefix_length=64,
            mac=first.mac,
            gateway="fd00:9::ffff",
        )
        one = order(number, addresses=[first, second])
        orders.append(one)
        await network.prepare(one, lambda: Wanted(nat, tuple(orders)))
        guest = site.plug(ports_of(one, nat)[0], bridge=OURS)
        ip("-n", guest, "addr", "add", f"{first.address}/24", "dev", "eth0")
        ip("-n", guest, "addr", "add", f"{second.address}/64", "dev", "eth0", "nodad")
        ip("-n", guest, "route", "add", "default", "via", "10.0.0.1")
        ip("-n", guest, "-6", "route", "add", "default", "via", "fd00:9::ffff")
        guests.append(guest)
    for far in ("10.0.0.1", "198.51.100.2", "fd00:9::ffff", "2001:db8:1::2", "10.0.0.12", "fd00:9::2"):
        assert pings(guests[0], far), far


async def test_the_host_finds_back_to_guests_whose_gateway_is_link_local(
    site: HostNet, network: HostNetwork
) -> None:
    """Its own address there is in no network of theirs; the way goes when it is their gateway no more."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    for number, namespace in enumerate((site.host, site.wire), start=1):
        ip("-n", namespace, "addr", "add", f"2001:db8:1::{number}/64", "dev", "eth0", "nodad")
    mac = order().addresses[0].mac
    six = OrderAddress(interface="eth0", address="fd00:9::1", prefix_length=64, mac=mac, gateway="fe80::1")
    one = order(addresses=[six])
    for _ in range(2):
        await network.set_right(Wanted(Network(managed=ManagedBridge(nat=True)), (one,)))
    guest = site.plug(ports_of(one, Network(managed=ManagedBridge(nat=True)))[0], bridge=OURS)
    ip("-n", guest, "addr", "add", "fd00:9::1/64", "dev", "eth0", "nodad")
    ip("-n", guest, "-6", "route", "add", "default", "via", "fe80::1", "dev", "eth0")
    assert pings(guest, "2001:db8:1::2")

    new = HostNetwork(site.directory / "network", clock=network._clock, registry=CollectorRegistry())
    await new.set_right(Wanted(Network(managed=ManagedBridge()), (one,)))
    assert "fd00:9::/64" not in of_bridge(site, "route")


async def test_a_host_that_is_no_gateway_any_more_does_not_answer_for_it(
    site: HostNet, network: HostNetwork
) -> None:
    """Else it would answer beside the real gateway on the wire; an address of the admin's own stays."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    await network.set_right(Wanted(Network(managed=ManagedBridge(nat=True)), (order(),)))
    assert "10.0.0.1/24" in ip("-n", site.host, "addr", "show", OURS)
    ip("-n", site.host, "addr", "add", "192.0.2.7/24", "dev", OURS)
    new = HostNetwork(site.directory / "network", clock=network._clock, registry=CollectorRegistry())
    await new.set_right(Wanted(Network(managed=ManagedBridge(uplink="eth0")), (order(),)))
    shown = ip("-n", site.host, "addr", "show", OURS)
    assert "10.0.0.1/24" not in shown
    assert "192.0.2.7/24" in shown


def who_is_there(namespace: str) -> set[str]:
    """Return who answers a ping to all nodes of IPv6, but for the namespace itself."""
    command = ["ip", "netns", "exec", namespace, "ping", "-6", "-n", "-c", "2", "-w", "3", "ff02::1%eth0"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"from (fe80:[0-9a-f:]+)%", said)) - own_link_locals(namespace)


def own_link_locals(namespace: str) -> set[str]:
    """Return the link-local addresses of a namespace's card."""
    return set(
        re.findall(r"inet6 (fe80:[0-9a-f:]+)/", ip("-6", "-n", namespace, "addr", "show", "dev", "eth0"))
    )


async def test_where_it_is_no_gateway_the_host_is_not_among_its_guests(
    site: HostNet, network: HostNetwork
) -> None:
    """Only guests answer to all nodes; no address that the host has elsewhere is reached, and nothing behind it."""
    isolated = Network(managed=ManagedBridge())
    four = order(1).addresses[0]
    six = OrderAddress(interface="eth0", address="fd00:9::1", prefix_length=64, mac=four.mac)
    orders = (order(1, addresses=[four, six]), order(2))
    await network.set_right(Wanted(isolated, orders))
    ports = [ports_of(each, isolated)[0] for each in orders]
    guests = [site.plug(port, bridge=OURS) for port in ports]
    assert who_is_there(guests[0]) == own_link_locals(guests[1])

    ip("-n", site.host, "addr", "add", "198.51.100.7/32", "dev", "lo")
    ip("-n", site.host, "route", "add", "10.0.0.11/32", "dev", OURS)
    ip("-n", guests[0], "addr", "add", "10.0.0.11/24", "dev", "eth0")
    bridge = re.findall(r"link/ether (\S+)", ip("-n", site.host, "link", "show", OURS))[0]
    ip("-n", guests[0], "neigh", "add", "10.0.0.99", "lladdr", bridge, "dev", "eth0")
    ip("-n", guests[0], "route", "add", "default", "via", "10.0.0.99")
    assert not pings(guests[0], "198.51.100.7")

    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    for number, namespace in enumerate((site.host, site.wire), start=1):
        ip("-n", namespace, "addr", "add", f"192.0.2.{number}/24", "dev", "eth0")
    ip("-n", site.wire, "route", "add", "10.0.0.0/24", "via", "192.0.2.1")
    ip("netns", "exec", site.host, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    assert not pings(guests[0], "192.0.2.2")

    # An address that the admin gave the bridge is for them, a link-local one once it was seen.
    ip("-n", site.host, "addr", "add", "10.0.0.7/24", "dev", OURS)
    ip("-n", site.host, "addr", "add", "fd00:9::7/64", "dev", OURS, "nodad")
    ip("-n", guests[0], "addr", "add", "fd00:9::1/64", "dev", "eth0", "nodad")
    assert pings(guests[0], "10.0.0.7")
    assert pings(guests[0], "fd00:9::7")
    ip("-n", site.host, "addr", "add", "fe80::7/64", "dev", OURS, "nodad")
    await network.set_right(Wanted(isolated, orders))
    assert pings(guests[0], "fe80::7%eth0")


async def test_a_bridge_that_was_among_them_before_is_not_any_more(
    site: HostNet, network: HostNetwork
) -> None:
    """One that an older agent made, one that somebody changed, and one that was the gateway."""
    ip("-n", site.host, "link", "add", OURS, "type", "bridge")
    ip("-n", site.host, "link", "set", OURS, "up")
    isolated = Network(managed=ManagedBridge())
    (port,) = ports_of(order(), isolated)
    guest = site.plug(port, bridge=OURS)
    until(lambda: link_local_of(site), what="a link-local address")
    await network.set_right(Wanted(isolated, (order(),)))
    assert (link_local_of(site), who_is_there(guest)) == ("", set())

    await network.set_right(Wanted(Network(managed=ManagedBridge(nat=True)), (order(),)))
    until(lambda: link_local_of(site), what="a link-local address")  # its advertisements come from there
    await network.set_right(Wanted(isolated, (order(),)))
    assert (link_local_of(site), who_is_there(guest)) == ("", set())


async def test_what_routers_and_the_kernel_made_goes_and_what_an_admin_gave_stays(
    site: HostNet, network: HostNetwork
) -> None:
    """An older agent let the bridge hear routers; an admin's own address is none of the kernel's."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    ip("-n", site.host, "link", "add", OURS, "type", "bridge")
    ip("-n", site.host, "link", "set", OURS, "up")
    ip("-n", site.host, "link", "set", "eth0", "master", OURS)
    ip("-n", site.host, "addr", "add", "fe80::1/64", "dev", OURS, "nodad")
    ip("-n", site.host, "addr", "add", "fd00:9::7/64", "dev", OURS, "nodad")
    wire = site.ear(site.wire)

    def has_learnt() -> bool:
        wire.send(autonomous(packets.advert(ROUTER)))
        return "2001:db8:7:" in of_bridge(site, "addr") and "default" in of_bridge(site, "route")

    until(has_learnt, what="an address and a route by an advertisement")
    ip("-n", site.host, "-6", "route", "add", "2001:db8:5::/64", "via", "fd00:9::2", "dev", OURS)
    ip("-n", site.host, "-6", "route", "add", "2001:db8:6::/64", "dev", BRIDGE, "proto", "ra")
    uplinked = Wanted(Network(managed=ManagedBridge(uplink="eth0")), ())
    await network.set_right(uplinked)
    assert re.findall(r"inet6 (\S+)", of_bridge(site, "addr")) == ["fd00:9::7/64", "fe80::1/64"]
    routes = of_bridge(site, "route")
    assert "default" not in routes
    assert "2001:db8:5::/64" in routes, "the admin's own one"
    assert "2001:db8:6::/64" in ip("-6", "-n", site.host, "route", "show", "dev", BRIDGE), "of another link"


def of_bridge(site: HostNet, what: str) -> str:
    """Return the host's IPv6 addresses or routes of its bridge."""
    return ip("-6", "-n", site.host, what, "show", "dev", OURS)


async def test_where_sysctl_is_read_only_no_guest_reaches_the_host_either(
    site: HostNet, network: HostNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent without privileges takes the link-local address by netlink; should it come back, the border holds."""

    def refuse(name: str, value: str) -> bool:
        raise OSError(errno.EROFS, f"Read-only file system: {name} {value}")

    monkeypatch.setattr(sysctl, "put", refuse)
    isolated = Network(managed=ManagedBridge())
    with structlog.testing.capture_logs() as logged:
        for _ in range(2):
            await network.set_right(Wanted(isolated, (order(),)))
    (warned,) = [each for each in logged if each["event"] == "bridge_unsettled"]
    assert len(warned["refused"]) == 3
    assert link_local_of(site) == ""

    guest = site.plug(ports_of(order(), isolated)[0], bridge=OURS)
    mac = re.findall(r"link/ether (\S+)", ip("-n", site.host, "link", "show", OURS))[0]
    ip("-n", site.host, "addr", "add", f"{link_local(mac)}/64", "dev", OURS, "nodad")
    assert not pings(guest, f"{link_local(mac)}%eth0")
    assert who_is_there(guest) == set()
    await network.set_right(Wanted(isolated, (order(),)))
    assert link_local_of(site) == ""


def link_local_of(site: HostNet) -> str:
    """Return what the host tells of link-local addresses of its bridge."""
    return ip("-6", "-n", site.host, "addr", "show", "dev", OURS, "scope", "link")


async def test_a_router_on_the_wire_is_none_of_the_hosts(site: HostNet, network: HostNetwork) -> None:
    """Its advertisement leaves no address and no route, though the guests' bridge hears it."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    uplinked = Network(managed=ManagedBridge(uplink="eth0"))
    await network.set_right(Wanted(uplinked, (order(),)))
    guest = site.plug(ports_of(order(), uplinked)[0], bridge=OURS)
    heard, wire = site.ear(guest), site.ear(site.wire)
    wire.send(autonomous(packets.advert(ROUTER)))
    honest = packets.question(ipaddress.ip_address("10.0.0.11"), ROUTER.source_mac)
    wire.send(honest)
    heard.hear(honest)
    assert "2001:db8:7:" not in ip("-6", "-n", site.host, "addr", "show")
    assert "ra" not in ip("-6", "-n", site.host, "route", "show").split()


def autonomous(advert: bytes) -> bytes:
    """Return an advertisement by which machines make an address of its prefix."""
    flags = 14 + 40 + 16 + 3
    checksum = int.from_bytes(advert[56:58], "big") - 0x40
    made = bytearray(advert)
    made[flags] |= 0x40
    made[56:58] = (checksum % 0xFFFF).to_bytes(2, "big")
    return bytes(made)


async def test_masquerading_that_somebody_removed_comes_back(site: HostNet, network: HostNetwork) -> None:
    wanted = Wanted(Network(managed=ManagedBridge(nat=True)), (order(),))
    await network.set_right(wanted)
    ip("netns", "exec", site.host, "nft", "delete", "table", "inet", "innkeeper")
    await network.set_right(wanted)
    assert "masquerade" in ip("netns", "exec", site.host, "nft", "list", "ruleset")


class KernelWithoutFib(Nft):
    """A kernel that lacks what the border asks."""

    async def load(self, text: str) -> None:
        """Load what it can."""
        if "fib" in text:
            raise FilterError("Could not process rule: No such file or directory")
        await super().load(text)


async def test_where_the_kernel_cannot_have_the_border_guests_start_that_need_none(site: HostNet) -> None:
    """Those of the admin's own bridge do, beside one that does not; the Host tells why."""
    network = HostNetwork(
        site.directory / "network", clock=SystemClock(), registry=CollectorRegistry(), nft=KernelWithoutFib()
    )
    (tagged,) = order(2).addresses
    wanted = Wanted(
        Network(bridge=BRIDGE), (order(1), order(2, addresses=[msgspec.structs.replace(tagged, vlan=5)]))
    )
    await network.prepare(wanted.orders[0], lambda: wanted)
    guest = site.plug(ports_of(order(1), wanted.network)[0])
    ip("-n", guest, "addr", "add", "10.0.0.11/24", "dev", "eth0")
    ip("-n", site.wire, "addr", "add", "10.0.0.2/24", "dev", "eth0")
    assert pings(guest, "10.0.0.2")
    with pytest.raises(FilterError, match="kept from the host"):
        await network.prepare(wanted.orders[1], lambda: wanted)
    with pytest.raises(FilterError, match="kept from the host"):
        await network.set_right(wanted)


async def test_a_vlan_that_the_kernel_does_not_know_is_told(site: HostNet, network: HostNetwork) -> None:
    """Where the kernel knows VLANs the guest is on one: its frames are tagged on the wire, and it sends none itself."""
    tagged = Network(bridge=BRIDGE, vlan=5)
    missing = await network.missing(order(), tagged)
    if missing is not None:
        assert "8021q" in missing
        return
    (interface,) = await network.prepare(order(), lambda: Wanted(tagged, (order(),)))
    (port,) = ports_of(order(), tagged)
    guest, wire = site.plug(port, bridge=interface.bridge), site.ear(site.wire)
    ip("-n", guest, "addr", "add", "10.0.0.11/24", "dev", "eth0")
    pings(guest, "10.0.0.2")
    mac = bytes.fromhex(port.mac.replace(":", ""))
    wire.hear(mac + b"\x81\x00\x00\x05\x08\x06")
