"""What the hosts of the bench hold: the same orders each time they are made, signed with a key of the bench's own."""

import ipaddress
from collections.abc import Iterator

from innkeeper.domain import names
from innkeeper.domain.host_store import GuestEntry
from innkeeper.domain.orders import Order, OrderAddress, Signer
from innkeeper.views.host import HostAgentSpec, HostScheduling, Network
from tests.kit import agent_orders

KEY = b"\x0b" * 32
SETTINGS = HostAgentSpec(cluster="rebuilt", network=Network(bridge="br0"), scheduling=HostScheduling())
ACCOUNTS = 50
POOL, SPACE = "rebuilt", "rebuilt"
_FIRST = int(ipaddress.IPv4Address("10.64.0.1"))


def host_name(number: int) -> str:
    """Return the name of a host."""
    return f"h{number:05}"


def orders(*, hosts: int, guests: int) -> Iterator[Order]:
    """Yield the order of every guest; hosts have them in turn."""
    for number in range(guests):
        guest_id = agent_orders.guest_id(number)
        address = OrderAddress(
            interface="eth0",
            address=str(ipaddress.IPv4Address(_FIRST + number)),
            prefix_length=10,
            mac=names.mac_of(guest_id, "eth0"),
            space=SPACE,
            pool=POOL,
        )
        yield agent_orders.order(
            number,
            host=host_name(number % hosts),
            addresses=[address],
            namespace=f"account-{number % ACCOUNTS}",
            serial=3,
        )


def entries(*, hosts: int, guests: int) -> dict[str, list[GuestEntry]]:
    """Return what each host tells, by Guest ID."""
    signer = Signer(KEY)
    found: dict[str, list[GuestEntry]] = {host_name(number): [] for number in range(hosts)}
    for order in orders(hosts=hosts, guests=guests):
        found[order.host].append(
            GuestEntry(
                guest_id=order.guest_id,
                order=signer.sign(order),
                outcome="Accepted",
                life="Up",
                ready=True,
                reason="Running",
            )
        )
    return found
