"""An image without cloud-init is told the same as one with it: its own addresses and nothing else."""

import asyncio
import ipaddress

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from innkeeper.agent.net import dhcp
from innkeeper.agent.net.adverts import Adverts
from innkeeper.agent.net.dnsmasq import Dnsmasq
from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.ports import ports_of
from innkeeper.domain.orders import Order, OrderAddress
from innkeeper.views.host import Network
from tests.kit import spoof
from tests.kit.agent_orders import order
from tests.kit.dhcp_client import ask
from tests.kit.host_net import BRIDGE, HostNet, ip, pings
from tests.kit.lab import NotSoError, until

pytestmark = pytest.mark.lab

NETWORK = Network(bridge=BRIDGE)


def dual(number: int, *, gateway: str = "fe80::1") -> Order:
    """Return an order with an address of each family and all that goes with it."""
    first = order(number).addresses[0]
    four = OrderAddress(
        interface="eth0",
        address=first.address,
        prefix_length=24,
        mac=first.mac,
        gateway="10.0.0.1",
        dns=["10.0.0.53"],
        search_domains=["guests.example"],
        mtu=1400,
    )
    six = OrderAddress(
        interface="eth0",
        address=f"fd00:9::{number}",
        prefix_length=64,
        mac=first.mac,
        gateway=gateway,
        dns=["fd00:9::53"],
        mtu=1400,
    )
    return order(number, addresses=[four, six])


async def test_each_guest_gets_its_own_lease(site: HostNet, network: HostNetwork) -> None:
    """Address, gateway, name server, domain, hostname, MTU; and in IPv6 address and name server."""
    orders = (dual(1), dual(2))
    await network.set_right(Wanted(NETWORK, orders))
    for number, each in enumerate(orders, start=1):
        guest = site.plug(ports_of(each, NETWORK)[0])
        four = ask(site, guest, "-4")
        assert four["new_ip_address"] == f"10.0.0.{10 + number}"
        assert four["new_routers"] == "10.0.0.1"
        assert four["new_domain_name_servers"] == "10.0.0.53"
        assert four["new_domain_search"].rstrip(".") == "guests.example"
        assert four["new_host_name"] == f"web-{number}"
        assert four["new_interface_mtu"] == "1400"
        six = ask(site, guest, "-6")
        assert six["new_ip6_address"] == f"fd00:9::{number}"
        assert six["new_dhcp6_name_servers"] == "fd00:9::53"


async def test_a_stranger_gets_no_lease(site: HostNet, network: HostNetwork) -> None:
    """A guest that takes another MAC is not even heard; it gets nothing, and the other's lease is not given away."""
    await network.set_right(Wanted(NETWORK, (dual(1),)))
    guest = site.plug(ports_of(dual(1), NETWORK)[0])
    ip("-n", guest, "link", "set", "eth0", "address", "52:54:00:00:66:66")
    with pytest.raises(NotSoError):
        ask(site, guest, "-4", within_s=4)


async def test_no_guest_speaks_to_the_dhcp_server_for_another(site: HostNet, network: HostNetwork) -> None:
    """One that declines a neighbour's address would keep it from its lease for ten minutes."""
    orders = (dual(1), dual(2))
    await network.set_right(Wanted(NETWORK, orders))
    liar, neighbour = (site.plug(ports_of(each, NETWORK)[0]) for each in orders)
    ear = site.ear(liar)
    for own in (spoof.NOBODY, "10.0.0.11"):
        ear.send(decline(mac(1), own, of=mac(2), address="10.0.0.12"))
    assert ask(site, liar, "-4")["new_ip_address"] == "10.0.0.11"  # what came before is dealt with
    assert ask(site, neighbour, "-4")["new_ip_address"] == "10.0.0.12"


async def test_leases_follow_the_guests(site: HostNet, network: HostNetwork) -> None:
    """A new guest of a known network gets its own, one of another network, too, also where a lease is held already."""
    await network.prepare(dual(1), lambda: Wanted(NETWORK, (dual(1),)))
    holder = site.plug(ports_of(dual(1), NETWORK)[0])
    assert ask(site, holder, "-4")["new_ip_address"] == "10.0.0.11"
    assert ask(site, holder, "-6")["new_ip6_address"] == "fd00:9::1"
    await network.prepare(dual(2), lambda: Wanted(NETWORK, (dual(1), dual(2))))
    guest = site.plug(ports_of(dual(2), NETWORK)[0])
    assert ask(site, guest, "-4")["new_ip_address"] == "10.0.0.12"
    assert ask(site, guest, "-6")["new_ip6_address"] == "fd00:9::2"

    far = order(
        3, addresses=[OrderAddress(interface="eth0", address="10.9.0.5", prefix_length=16, mac=mac(3))]
    )
    await network.prepare(far, lambda: Wanted(NETWORK, (dual(1), dual(2), far)))
    guest = site.plug(ports_of(far, NETWORK)[0])
    assert ask(site, guest, "-4")["new_ip_address"] == "10.9.0.5"


async def test_in_a_network_of_many_64s_no_guest_has_the_servers_address(
    site: HostNet, network: HostNetwork
) -> None:
    """Each of its 64s has a first address, which may be a guest's: nobody else answers for it, as older servers did."""
    orders = tuple(
        order(
            number,
            addresses=[OrderAddress(interface="eth0", address=address, prefix_length=48, mac=mac(number))],
        )
        for number, address in enumerate(("fd00:9:0:5::", "fd00:9:0:5::2", "fd00:9:0:6::1"), start=1)
    )
    await network.set_right(Wanted(NETWORK, orders))
    inner = ports_of(orders[0], NETWORK)[0].segment.inner
    ip("-n", site.host, "addr", "replace", "fd00:9:0:5::/64", "dev", inner, "nodad")
    await network.set_right(Wanted(NETWORK, orders))
    guests = [site.plug(ports_of(each, NETWORK)[0]) for each in orders]
    for each, guest in zip(orders, guests, strict=True):
        address = each.addresses[0].address
        assert ask(site, guest, "-6")["new_ip6_address"] == address
        ip("netns", "exec", guest, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1")
        ip("-n", guest, "addr", "add", f"{address}/48", "dev", "eth0")
        until(
            lambda guest=guest: "tentative" not in six_addresses(guest), what="its own address", within_s=10
        )
    assert pings(guests[1], "fd00:9:0:5::")


async def test_the_server_has_no_address_that_its_guests_are_told(
    site: HostNet, network: HostNetwork
) -> None:
    """The first of a network may be its router's: two would answer for it."""
    told = dual(1, gateway="fd00:9::")
    await network.set_right(Wanted(NETWORK, (told,)))
    guest = site.plug(ports_of(told, NETWORK)[0])
    assert ask(site, guest, "-6")["new_ip6_address"] == "fd00:9::1"
    ip("-n", guest, "addr", "add", "fd00:9::1/64", "dev", "eth0", "nodad")
    ip("-n", site.wire, "addr", "add", "fd00:9::/64", "dev", "eth0", "nodad")
    assert pings(guest, "fd00:9::")


def six_addresses(guest: str) -> str:
    """Return a guest's IPv6 addresses: `tentative` until it knows that nobody has one, or for ever."""
    return ip("-6", "-n", guest, "addr", "show", "dev", "eth0")


@pytest.mark.parametrize("family", ["-4", "-6"])
async def test_a_held_lease_does_not_end_the_server(site: HostNet, network: HostNetwork, family: str) -> None:
    """One guest holds a lease, another goes: it serves at once, without waiting for the next look."""
    await network.set_right(Wanted(NETWORK, (dual(1), dual(2))))
    guest = site.plug(ports_of(dual(1), NETWORK)[0])
    ask(site, guest, family)
    server = Dnsmasq(site.directory / "network" / BRIDGE)
    before = server.pid()
    await network.release(dual(2).guest_id)
    until(lambda: has_answered(site, guest, family), what="an answer after the change")
    assert server.pid() not in (None, before), "a new process, and not one that will break off"


async def test_the_next_owner_of_an_address_gets_it(site: HostNet, network: HostNetwork) -> None:
    """The lease of the guest that is gone never ends, and must not bar it."""
    await network.set_right(Wanted(NETWORK, (dual(1), dual(2))))
    guest = site.plug(ports_of(dual(1), NETWORK)[0])
    ask(site, guest, "-4")
    ask(site, guest, "-6")
    site.unplug(guest)
    await network.release(dual(1).guest_id)
    heir = order(3, addresses=[msgspec.structs.replace(each, mac=mac(3)) for each in dual(1).addresses])
    await network.prepare(heir, lambda: Wanted(NETWORK, (dual(2), heir)))
    guest = site.plug(ports_of(heir, NETWORK)[0])
    assert ask(site, guest, "-4")["new_ip_address"] == "10.0.0.11"
    assert ask(site, guest, "-6")["new_ip6_address"] == "fd00:9::1"


async def test_a_guest_that_starts_under_another_duid_gets_its_address(
    site: HostNet, network: HostNetwork
) -> None:
    """Another system on its disk makes another name for itself (RFC 8415, section 11)."""
    await network.prepare(dual(1), lambda: Wanted(NETWORK, (dual(1),)))
    guest = site.plug(ports_of(dual(1), NETWORK)[0])
    assert ask(site, guest, "-6")["new_ip6_address"] == "fd00:9::1"
    site.unplug(guest)
    await network.prepare(dual(1), lambda: Wanted(NETWORK, (dual(1),)))
    guest = site.plug(ports_of(dual(1), NETWORK)[0])
    assert ask(site, guest, "-6", duid="LLT")["new_ip6_address"] == "fd00:9::1"


async def test_a_change_that_was_broken_off_is_told_by_the_next_look(
    site: HostNet, network: HostNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are written, and the job is cancelled before the server has read them."""
    await network.set_right(Wanted(NETWORK, (dual(1),)))
    both = Wanted(NETWORK, (dual(1), dual(2)))
    await break_off(network, both, monkeypatch)
    await network.set_right(both)
    guest = site.plug(ports_of(dual(2), NETWORK)[0])
    assert ask(site, guest, "-4")["new_ip_address"] == "10.0.0.12"


async def test_a_change_that_an_agent_died_at_is_told_by_the_next_agent(
    site: HostNet, network: HostNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are as they should be do not tell what the server has read."""
    await network.set_right(Wanted(NETWORK, (dual(1),)))
    both = Wanted(NETWORK, (dual(1), dual(2)))
    await break_off(network, both, monkeypatch)
    new = HostNetwork(site.directory / "network", clock=network._clock, registry=CollectorRegistry())
    await new.set_right(both)
    server = Dnsmasq(site.directory / "network" / BRIDGE)
    started = server.pid()
    await new.set_right(both)
    assert server.pid() == started is not None, "nothing changed, nothing is started"
    guest = site.plug(ports_of(dual(2), NETWORK)[0])
    assert ask(site, guest, "-4")["new_ip_address"] == "10.0.0.12"


async def test_a_killed_server_is_started_again(site: HostNet, network: HostNetwork) -> None:
    """Its cable, too, where somebody removed it."""
    wanted = Wanted(NETWORK, (dual(1),))
    await network.set_right(wanted)
    server = Dnsmasq(site.directory / "network" / BRIDGE)
    await server.end()
    (segment,) = {port.segment for port in ports_of(dual(1), NETWORK)}
    ip("-n", site.host, "link", "delete", segment.server)
    await network.set_right(wanted)
    guest = site.plug(ports_of(dual(1), NETWORK)[0])
    assert ask(site, guest, "-4")["new_ip_address"] == "10.0.0.11"


async def test_a_router_advertisement_comes_into_the_guest_only(site: HostNet, network: HostNetwork) -> None:
    """The guest learns its router, its network, the MTU and that its address comes by DHCPv6."""
    one = dual(1)
    await network.set_right(Wanted(NETWORK, (one,)))
    (port,) = ports_of(one, NETWORK)
    guest = site.plug(port)
    for name, value in (("accept_ra", "1"), ("autoconf", "1")):
        ip("netns", "exec", guest, "sysctl", "-qw", f"net.ipv6.conf.eth0.{name}={value}")
    inner, wire = site.ear(guest), site.ear(site.wire)
    Adverts().send([port], router=lambda _: None)
    heard = inner.hear(b"\x86", within_s=5)
    while heard[12:14] != b"\x86\xdd" or heard[54] != 134:
        heard = inner.hear(b"\x86\xdd")
    assert heard[22:38] == ipaddress.IPv6Address("fe80::1").packed
    routes = ip("-6", "-n", guest, "route", "show")
    assert "default via fe80::1" in routes
    assert "fd00:9::/64" in routes
    addresses = ip("-6", "-n", guest, "addr", "show", "dev", "eth0")
    assert "fd00:9:" not in addresses  # nobody makes an address of its own
    assert not [each for each in wire.frames if each[54:55] == b"\x86"]


async def test_a_gateway_that_no_advertisement_can_name_is_not_named(
    site: HostNet, network: HostNetwork
) -> None:
    """Else the guest would send its packets to this host, which is no router."""
    one = dual(1, gateway="fd00:9::ffff")
    await network.set_right(Wanted(NETWORK, (one,)))
    (port,) = ports_of(one, NETWORK)
    guest = site.plug(port)
    inner = site.ear(guest)
    ip("netns", "exec", guest, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
    Adverts().send([port], router=lambda _: None)
    heard = inner.hear(b"\x86\xdd")
    while heard[54] != 134:
        heard = inner.hear(b"\x86\xdd")
    assert "default" not in ip("-6", "-n", guest, "route", "show")


@pytest.mark.parametrize("gateway", ["fe80::2", "fd00:9::ffff"])
async def test_a_router_that_is_none_any_more_is_taken_back(
    site: HostNet, network: HostNetwork, gateway: str
) -> None:
    """The pool names another gateway, or one that cannot be told: the guest's route over the first goes at once."""
    one, changed = dual(1), dual(1, gateway=gateway)
    await network.set_right(Wanted(NETWORK, (one,)))
    guest = site.plug(ports_of(one, NETWORK)[0])
    ip("netns", "exec", guest, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
    told = Adverts()
    told.send(ports_of(one, NETWORK), router=lambda _: None)
    until(lambda: "default via fe80::1 " in ip("-6", "-n", guest, "route", "show"), what="the first router")
    told.send(ports_of(changed, NETWORK), router=lambda _: None)

    def is_gone() -> bool:
        routes = ip("-6", "-n", guest, "route", "show")
        return "fe80::1 " not in routes and ("default via fe80::2 " in routes) == (gateway == "fe80::2")

    until(is_gone, what="the first router to be forgotten")
    assert "fd00:9::/64" in ip("-6", "-n", guest, "route", "show")


def has_answered(site: HostNet, guest: str, family: str) -> bool:
    """Tell whether the server answers a client that asks anew."""
    try:
        ask(site, guest, family, within_s=10)
    except NotSoError:
        return False
    return True


async def break_off(network: HostNetwork, wanted: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancel a look once the files of the server are written."""

    async def cancelled(server: Dnsmasq) -> None:
        raise asyncio.CancelledError(str(server.directory))

    with monkeypatch.context() as patched:
        patched.setattr(Dnsmasq, "end", cancelled)
        with pytest.raises(asyncio.CancelledError):
            await network.set_right(wanted)


def decline(sender: str, own: str, *, of: str, address: str) -> bytes:
    """Return the frame that says: whoever has the MAC `of` does not want its address."""
    option = bytes([54, 4]) + ipaddress.IPv4Address(dhcp.SERVER_ADDRESS).packed
    option += bytes([50, 4]) + ipaddress.IPv4Address(address).packed
    message = spoof.bootp(of, kind=4, options=option)
    return spoof.frame(sender, 0x0800, spoof.ip4(own, spoof.udp(68, 67, message)))


def mac(number: int) -> str:
    """Return the MAC of a guest's first interface."""
    return order(number).addresses[0].mac
