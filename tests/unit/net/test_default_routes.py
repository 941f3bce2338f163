"""A guest has one default route of each family, however many of its pools have a gateway; what tells it tells one."""

import msgspec
import pytest

from innkeeper.agent.net import dhcp
from innkeeper.agent.net.adverts import advert_of
from innkeeper.agent.net.links import Link
from innkeeper.agent.net.ports import ports_of
from innkeeper.domain import default_routes
from innkeeper.domain.orders import OrderAddress
from innkeeper.views.host import ManagedBridge, Network
from tests.kit.two_cards import FIRST, SECOND, four, six, two_cards

NETWORK = Network(bridge="br0")
BRIDGE = Link(
    index=7, name="innkeeper0", kind="bridge", master=None, mtu=1500, mac="52:54:00:00:00:01", up=True
)

CASES = {
    "both pools have a gateway": ([four(FIRST), four(SECOND), six(FIRST), six(SECOND)], FIRST, FIRST),
    "the first has none": ([four(FIRST, gateway=False), four(SECOND)], SECOND, None),
    "each family goes its own way": (
        [four(FIRST), six(FIRST, gateway=False), four(SECOND), six(SECOND)],
        FIRST,
        SECOND,
    ),
    "the order counts, not the name": ([four(SECOND), six(SECOND), four(FIRST), six(FIRST)], SECOND, SECOND),
    "no pool has one": ([four(FIRST, gateway=False), six(SECOND, gateway=False)], None, None),
    "one interface": ([four(FIRST), six(FIRST)], FIRST, FIRST),
}


@pytest.mark.parametrize(("addresses", "leads_4", "leads_6"), CASES.values(), ids=CASES.keys())
def test_one_interface_of_each_family_has_the_default_route(
    addresses: list[OrderAddress], leads_4: str | None, leads_6: str | None
) -> None:
    expected = {version: name for version, name in ((4, leads_4), (6, leads_6)) if name is not None}
    assert default_routes.interfaces(addresses) == expected


@pytest.mark.parametrize(("addresses", "leads_4", "leads_6"), CASES.values(), ids=CASES.keys())
def test_dhcp_and_advertisements_name_a_router_there_alone(
    addresses: list[OrderAddress], leads_4: str | None, leads_6: str | None
) -> None:
    """Also where the host itself is the gateway: it has no way back to a network without one."""
    for port in ports_of(two_cards(*addresses), NETWORK):
        told = dhcp.leases(port.segment, [port], directory="/tmp").options.splitlines()  # noqa: S108 - a name in a text
        (routers,) = [line.partition("option:router")[2] for line in told if "option:router" in line]
        gateways = [each.gateway for each in port.addresses if each.gateway and "." in each.gateway]
        assert routers == (f",{gateways[0]}" if port.interface == leads_4 else "")
        for router in (None, BRIDGE):
            advert = advert_of(port, router=router)
            assert (advert is not None and advert.is_router) == (port.interface == leads_6)


def test_advertisements_lead_over_the_first_gateway_that_they_can_tell() -> None:
    """Else a guest that has no other way to learn its router would have none. A host that is the gateway tells any."""
    unspeakable = msgspec.structs.replace(six(FIRST), gateway="fd00:70::1")
    mixed = two_cards(four(FIRST), unspeakable, four(SECOND), six(SECOND))
    nat = Network(managed=ManagedBridge(bridge="innkeeper0", nat=True))
    for network, router, expected in ((NETWORK, None, [False, True]), (nat, BRIDGE, [True, False])):
        adverts = [advert_of(port, router=router) for port in ports_of(mixed, network)]
        assert [each is not None and each.is_router for each in adverts] == expected
