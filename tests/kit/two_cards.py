"""The order of a guest with two interfaces in pools that both have a gateway, of either family."""

import msgspec

from innkeeper.domain.orders import Order, OrderAddress
from tests.kit.agent_orders import order

FIRST, SECOND = "eth0", "eth1"
ROUTER = "fe80::1"


def four(card: str, *, gateway: bool = True) -> OrderAddress:
    """Return an IPv4 address of a card; each card has a network of its own."""
    return _address(card, "10.{}.0.11", 24, "10.{}.0.1" if gateway else None)


def six(card: str, *, gateway: bool = True) -> OrderAddress:
    """Return an IPv6 address of a card."""
    return _address(card, "fd00:{}::11", 64, ROUTER if gateway else None)


def two_cards(*addresses: OrderAddress) -> Order:
    """Return the order, by default with both families and both gateways on each card."""
    usual = [each(card) for card in (FIRST, SECOND) for each in (four, six)]
    return order(addresses=list(addresses) or usual)


def _address(card: str, address: str, length: int, gateway: str | None) -> OrderAddress:
    number = 70 + [FIRST, SECOND].index(card)
    made = OrderAddress(
        interface=card,
        address=address.format(number),
        prefix_length=length,
        mac=f"02:00:00:00:00:{number}",
    )
    return msgspec.structs.replace(made, gateway=gateway and gateway.format(number))
