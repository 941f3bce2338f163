"""What a guest is told of its router, and for how long one is taken back that is none any more."""

import ipaddress

from innkeeper.agent.net.adverts import TAKEN_BACK_TIMES, Adverts
from innkeeper.agent.net.ports import Port, ports_of
from innkeeper.domain.orders import OrderAddress
from innkeeper.views.host import Network
from tests.kit.agent_orders import order
from tests.kit.two_cards import FIRST, ROUTER, SECOND, six, two_cards


def port(gateway: str | None) -> Port:
    """Return the port of a guest whose pool has a gateway."""
    mac = order().addresses[0].mac
    six = OrderAddress(
        interface="eth0", address="fd00:9::1", prefix_length=64, mac=mac, gateway=gateway, dns=["fd00:9::53"]
    )
    (found,) = ports_of(order(addresses=[six]), Network(bridge="br0"))
    return found


def routers(frames: list[bytes]) -> list[tuple[str, int]]:
    """Return who speaks in each advertisement, and for how many seconds it is a router."""
    return [(str(ipaddress.IPv6Address(each[22:38])), int.from_bytes(each[60:62], "big")) for each in frames]


def test_a_router_that_changed_is_taken_back_for_a_while() -> None:
    told = Adverts()
    assert routers(told.frames(port("fe80::1"), router=None)) == [("fe80::1", 65535)]
    for _ in range(TAKEN_BACK_TIMES):
        assert routers(told.frames(port("fe80::2"), router=None)) == [("fe80::1", 0), ("fe80::2", 65535)]
    assert routers(told.frames(port("fe80::2"), router=None)) == [("fe80::2", 65535)]


def test_one_that_comes_back_is_not_taken_back_any_more() -> None:
    told = Adverts()
    for gateway in ("fe80::1", "fe80::2"):
        told.frames(port(gateway), router=None)
    assert routers(told.frames(port("fe80::1"), router=None)) == [("fe80::2", 0), ("fe80::1", 65535)]


def test_one_that_is_gone_is_taken_back_before_its_network_is_told() -> None:
    told = Adverts()
    told.frames(port("fe80::1"), router=None)
    (first, life), (_, none) = routers(told.frames(port(None), router=None))
    assert (first, life, none) == ("fe80::1", 0, 0)


def test_what_is_taken_back_says_nothing_of_name_servers() -> None:
    """Else they would last for ever by it."""
    told = Adverts()
    told.frames(port("fe80::1"), router=None)
    over, now = told.frames(port("fe80::2"), router=None)
    server = ipaddress.IPv6Address("fd00:9::53").packed
    assert server not in over
    assert server in now


def test_a_gateway_that_no_default_route_leads_over_says_so_itself() -> None:
    """An older agent told it as a router, for 18 hours, and nobody else can take that back."""
    first, second = ports_of(two_cards(), Network(bridge="br0"))
    assert routers(Adverts().frames(first, router=None)) == [(ROUTER, 65535)]
    for told in (Adverts(), Adverts()):
        assert routers(told.frames(second, router=None)) == [(ROUTER, 0)]


def test_a_router_whose_guest_has_its_default_route_elsewhere_now_is_taken_back() -> None:
    """The pool of its first interface has a gateway by now."""
    before = two_cards(six(FIRST, gateway=False), six(SECOND))
    told = Adverts()
    assert routers(told.frames(ports_of(before, Network(bridge="br0"))[1], router=None)) == [(ROUTER, 65535)]
    now = ports_of(two_cards(six(FIRST), six(SECOND)), Network(bridge="br0"))[1]
    assert routers(told.frames(now, router=None)) == [(ROUTER, 0)]
