"""A guest without cloud-init that has two interfaces learns one default route of each family, also from a new agent."""

from dataclasses import replace

import pytest

from innkeeper.agent.net import packets
from innkeeper.agent.net.adverts import Adverts, advert_of
from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.ports import Port, ports_of
from innkeeper.domain.orders import Order
from innkeeper.views.host import Network
from tests.kit.dhcp_client import ask
from tests.kit.host_net import BRIDGE, Ear, HostNet, ip
from tests.kit.lab import until
from tests.kit.two_cards import FIRST, ROUTER, SECOND, four, six, two_cards

pytestmark = pytest.mark.lab

NETWORK = Network(bridge=BRIDGE)


async def plugged(site: HostNet, network: HostNetwork, order: Order) -> list[tuple[Port, str]]:
    """Start the guest; return its ports, each with the namespace that stands for its card."""
    await network.set_right(Wanted(NETWORK, (order,)))
    found = [(port, site.plug(port)) for port in ports_of(order, NETWORK)]
    for _, card in found:
        ip("netns", "exec", card, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
    return found


def hear_advert(ear: Ear) -> None:
    """Wait for a router advertisement; the kernel has dealt with it by then."""
    while ear.hear(b"\x86\xdd")[54] != 134:
        pass


def six_routes(card: str) -> str:
    """Return the IPv6 routes of a card."""
    return ip("-6", "-n", card, "route", "show")


async def test_only_the_first_card_is_told_a_router(site: HostNet, network: HostNetwork) -> None:
    """All else it is told at both: the second one is used in its own network."""
    (first, at_first), (second, at_second) = await plugged(site, network, two_cards())
    told = [ask(site, card, "-4") for card in (at_first, at_second)]
    assert [each["new_ip_address"] for each in told] == ["10.70.0.11", "10.71.0.11"]
    assert [each.get("new_routers", "") for each in told] == ["10.70.0.1", ""]
    assert not [name for each in told for name in each if name.startswith("new_") and "classless" in name]
    assert ask(site, at_second, "-6")["new_ip6_address"] == "fd00:71::11"

    ear = site.ear(at_second)
    Adverts().send([first, second], router=lambda _: None)
    hear_advert(ear)
    until(lambda: f"default via {ROUTER} " in six_routes(at_first), what="the default route")
    assert "default" not in six_routes(at_second)
    assert "fd00:71::/64" in six_routes(at_second)


async def test_each_family_leads_where_its_first_gateway_is(site: HostNet, network: HostNetwork) -> None:
    mixed = two_cards(four(FIRST, gateway=False), six(FIRST), four(SECOND), six(SECOND))
    (first, at_first), (second, at_second) = await plugged(site, network, mixed)
    told = [ask(site, card, "-4").get("new_routers", "") for card in (at_first, at_second)]
    assert told == ["", "10.71.0.1"]
    ear = site.ear(at_second)
    Adverts().send([first, second], router=lambda _: None)
    hear_advert(ear)
    until(lambda: f"default via {ROUTER} " in six_routes(at_first), what="the default route")
    assert "default" not in six_routes(at_second)


async def test_a_new_agent_takes_back_the_second_route_that_an_older_one_told(
    site: HostNet, network: HostNetwork
) -> None:
    """A guest that runs has it for 18 hours else."""
    _, (second, card) = await plugged(site, network, two_cards())
    advert = advert_of(second, router=None)
    assert advert is not None
    older = packets.advert(replace(advert, is_router=True))
    tap = Ear(site.host, second.device)
    try:
        tap.send(older)
    finally:
        tap.close()
    until(lambda: f"default via {ROUTER} " in six_routes(card), what="the route of the older agent")
    Adverts().send([second], router=lambda _: None)
    until(lambda: "default" not in six_routes(card), what="the route to go")
    assert "fd00:71::/64" in six_routes(card)
