"""What a host sets as its guests' gateway goes again, and what somebody else set on the same bridge never does."""

import json
import resource

import pytest
from prometheus_client import CollectorRegistry
from pyroute2 import AsyncIPRoute

from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.links import LinkError
from innkeeper.agent.net.network import Wanted
from innkeeper.clock import SystemClock
from innkeeper.domain.orders import Order, OrderAddress
from innkeeper.views.host import ManagedBridge, Network
from tests.kit.agent_orders import order
from tests.kit.host_net import HostNet, ip

pytestmark = pytest.mark.lab

OURS = "innkeeper0"
NAT = Network(managed=ManagedBridge(nat=True))
NO_GATEWAY = Network(managed=ManagedBridge())
GATEWAY = "10.0.0.1/24"
SIX = "fd00:9::/64"


def behind(gateway: str, number: int = 1) -> Order:
    """Return the order of a guest in 10.0.0.0/24 with this gateway."""
    mac = order(number).addresses[0].mac
    address = OrderAddress(
        interface="eth0", address=f"10.0.0.{10 + number}", prefix_length=24, mac=mac, gateway=gateway
    )
    return order(number, addresses=[address])


def behind_link_local(number: int = 1) -> Order:
    """Return the order of a guest whose gateway has no address in its network."""
    mac = order(number).addresses[0].mac
    six = OrderAddress(
        interface="eth0", address=f"fd00:9::{number}", prefix_length=64, mac=mac, gateway="fe80::1"
    )
    return order(number, addresses=[six])


def make_bridge(site: HostNet, *addresses: str) -> None:
    """Do what the admin's own settings do at each boot."""
    ip("-n", site.host, "link", "add", OURS, "type", "bridge")
    ip("-n", site.host, "link", "set", OURS, "up")
    for each in addresses:
        ip("-n", site.host, "addr", "add", each, "dev", OURS)


def addresses(site: HostNet) -> str:
    """Return the addresses of the bridge."""
    return ip("-n", site.host, "addr", "show", "dev", OURS)


def routes(site: HostNet, *words: str) -> str:
    """Return routes to the guests of `behind_link_local`."""
    return ip("-6", "-n", site.host, "route", "show", SIX, *words)


def another_agent(site: HostNet) -> HostNetwork:
    """Return the network as an agent that was started anew has it."""
    return HostNetwork(site.directory / "network", clock=SystemClock(), registry=CollectorRegistry())


async def test_a_gateways_address_that_was_there_before_stays(site: HostNet, network: HostNetwork) -> None:
    """The admin gave it to the host; it is used, and is none of the agent's to remove."""
    make_bridge(site, GATEWAY)
    await network.set_right(Wanted(NAT, (order(),)))
    await another_agent(site).set_right(Wanted(NO_GATEWAY, (order(),)))
    assert GATEWAY in addresses(site)


async def test_one_that_the_admin_sets_where_ours_went_stays(site: HostNet, network: HostNetwork) -> None:
    """As after a reboot before which he wrote it into the host's settings."""
    await network.set_right(Wanted(NAT, (order(),)))
    ip("-n", site.host, "link", "delete", OURS)
    make_bridge(site, GATEWAY)
    await another_agent(site).set_right(Wanted(NAT, (order(),)))
    await another_agent(site).set_right(Wanted(NO_GATEWAY, (order(),)))
    assert GATEWAY in addresses(site)


async def test_an_address_of_the_same_network_stays_when_ours_goes(
    site: HostNet, network: HostNetwork
) -> None:
    """The kernel takes those that were set later along, unless it is told not to."""
    await network.set_right(Wanted(NAT, (order(),)))
    ip("-n", site.host, "addr", "add", "10.0.0.7/24", "dev", OURS)
    await network.set_right(Wanted(NAT, (behind("10.0.0.254"),)))
    assert "10.0.0.254/24" in addresses(site)
    assert GATEWAY not in addresses(site)
    await network.set_right(Wanted(NO_GATEWAY, (order(),)))
    assert "10.0.0.254/24" not in addresses(site)
    assert "10.0.0.7/24" in addresses(site)


async def test_a_gateways_address_with_another_prefix_is_not_ours(
    site: HostNet, network: HostNetwork
) -> None:
    """In IPv6 a link has an address once; nothing is noted, at any look."""
    make_bridge(site, "fe80::1/10")
    one = Wanted(NAT, (behind_link_local(),))
    await network.set_right(one)
    assert not list((site.directory / "network").glob("*.gateways"))
    await another_agent(site).set_right(Wanted(NO_GATEWAY, one.orders))
    assert "fe80::1/10" in addresses(site)


async def test_what_was_set_is_not_forgotten_where_the_disk_is_full(
    site: HostNet, network: HostNetwork
) -> None:
    """The note of a second gateway cannot be written: that of the first is as it was."""
    await network.set_right(Wanted(NAT, (order(),)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    both = Wanted(NAT, (order(), behind("10.0.0.254", 2)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            await network.set_right(both)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await another_agent(site).set_right(Wanted(NO_GATEWAY, both.orders))
    assert "10.0.0." not in addresses(site)


async def test_another_route_to_the_guests_is_told_and_left(site: HostNet, network: HostNetwork) -> None:
    """It leads where its admin wants it; guests of other networks start, and once it went its guests do."""
    ip("-n", site.host, "link", "add", "br9", "type", "bridge")
    ip("-n", site.host, "link", "set", "br9", "up")
    ip("-6", "-n", site.host, "route", "add", SIX, "dev", "br9")
    one = Wanted(NAT, (behind_link_local(), order(2)))
    for _ in range(2):
        with pytest.raises(
            LinkError, match=f"route to {SIX} leads over 'br9', not to the guests on '{OURS}'"
        ):
            await network.set_right(one)
    with pytest.raises(LinkError, match="br9"):
        await network.prepare(one.orders[0], lambda: one)
    await network.prepare(one.orders[1], lambda: one)
    assert routes(site).count("dev br9") == 1
    assert OURS not in routes(site)

    ip("-6", "-n", site.host, "route", "del", SIX, "dev", "br9")
    await network.set_right(one)
    assert f"dev {OURS}" in routes(site)


@pytest.mark.parametrize("metric", ["10", "1024", "2000"])
async def test_a_route_of_the_admins_over_the_bridge_stays(
    site: HostNet, network: HostNetwork, metric: str
) -> None:
    """Whether it takes the place of ours or lies beside it."""
    make_bridge(site)
    ip("-6", "-n", site.host, "route", "add", SIX, "dev", OURS, "metric", metric)
    one = Wanted(NAT, (behind_link_local(),))
    for _ in range(2):
        await network.set_right(one)
    assert routes(site, "proto", "boot").count(OURS) == 1
    await another_agent(site).set_right(Wanted(NO_GATEWAY, one.orders))
    assert routes(site).count(OURS) == 1
    assert f"metric {metric}" in routes(site)


async def test_on_a_kernel_that_keeps_no_protocol_of_addresses_notes_tell_what_is_ours(
    site: HostNet, network: HostNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Linux 5.18."""
    add = AsyncIPRoute.addr

    async def without_protocol(route: AsyncIPRoute, verb: str, **words: object) -> object:
        return await add(route, verb, **{name: value for name, value in words.items() if name != "proto"})

    monkeypatch.setattr(AsyncIPRoute, "addr", without_protocol)
    make_bridge(site, GATEWAY)
    both = (order(), behind("10.0.0.254", 2))
    for _ in range(2):
        await network.set_right(Wanted(NAT, both))
    assert "10.0.0.254/24" in addresses(site)
    await another_agent(site).set_right(Wanted(NO_GATEWAY, both))
    assert "10.0.0.254/24" not in addresses(site)
    assert GATEWAY in addresses(site)


@pytest.mark.parametrize("rebooted", [False, True])
async def test_what_an_older_agent_set_goes(site: HostNet, network: HostNetwork, *, rebooted: bool) -> None:
    """It told the kernel nothing of itself, and noted what it set."""
    make_bridge(site, GATEWAY, "fe80::1/64")
    ip("-6", "-n", site.host, "route", "add", SIX, "dev", OURS, "proto", "static")
    notes = site.directory / "network"
    notes.mkdir(parents=True)
    (notes / f"{OURS}.gateways").write_text(json.dumps([["10.0.0.1", 24], ["fe80::1", 64]]))
    (notes / f"{OURS}.routes").write_text(json.dumps([["fd00:9::", 64]]))
    if rebooted:
        ip("-n", site.host, "link", "delete", OURS)
    orders = (order(), behind_link_local(2))
    await network.set_right(Wanted(NAT, orders))
    assert GATEWAY in addresses(site)
    assert OURS in routes(site)
    await another_agent(site).set_right(Wanted(NO_GATEWAY, orders))
    assert "10.0.0.1" not in addresses(site)
    assert "fe80::1/" not in addresses(site)
    assert routes(site) == ""
