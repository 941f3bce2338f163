"""A network without frames, for the simulated driver: bridges exist by name, and nobody answers for an address.

Tests put addresses into `answering` to have the wire answer for them, and make it `unaskable` for some questions.
"""

import asyncio
from collections.abc import Callable

from innkeeper.agent.drivers.driver import DomainInterface
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.ports import ports_of
from innkeeper.agent.store.records import AddressInUse
from innkeeper.domain.orders import Order
from innkeeper.errors import InnkeeperError
from innkeeper.views.host import Network


class SimulatedNetwork:
    """Says yes to every guest on a bridge that it was made with."""

    def __init__(self, bridges: frozenset[str] = frozenset({"br0"})) -> None:
        self._bridges = bridges
        self.trouble: str | None = None
        self.answering: dict[str, str] = {}  # MACs by address
        self.unaskable = 0  # how many questions more fail
        self.prepared: set[str] = set()
        self.wanted: Callable[[], Wanted | None] = lambda: None

    async def missing(self, order: Order, network: Network) -> str | None:
        """Tell of a bridge that is not there."""
        ports_of(order, network)
        there = network.managed is not None or network.base in self._bridges
        return None if there else f"this host has no bridge {network.base!r}"

    async def conflict(self, order: Order, network: Network) -> AddressInUse | None:
        """Answer for the addresses that were put in."""
        if self.unaskable:
            self.unaskable -= 1
            raise InnkeeperError(f"nothing can be sent out of the bridge {network.base!r}: Network is down")
        for each in order.addresses:
            if each.address in self.answering:
                return AddressInUse(each.address, self.answering[each.address], each.interface)
        return None

    async def prepare(self, order: Order, wanted: Callable[[], Wanted]) -> tuple[DomainInterface, ...]:
        """Return the interfaces."""
        self.prepared.add(order.guest_id)
        return tuple(
            DomainInterface(bridge=port.segment.bridge, mac=port.mac, device=port.device)
            for port in ports_of(order, wanted().network)
        )

    async def release(self, guest_id: str) -> None:
        """Forget a guest."""
        self.prepared.discard(guest_id)

    async def run(self, wanted: Callable[[], Wanted | None], *, on_trouble: Callable[[], None]) -> None:  # noqa: ARG002 - as declared
        """Keep nothing but whom to ask what is wanted."""
        self.wanted = wanted
        await asyncio.Event().wait()
