"""What the agent asks of its host's network. `host_network` does it; `simulated` claims to.

It knows orders and the Cluster's network, and nothing of policies or of the API server. Every call may be repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from innkeeper.agent.drivers.driver import DomainInterface
from innkeeper.agent.store.records import AddressInUse
from innkeeper.domain.orders import Order
from innkeeper.views.host import Network


@dataclass(frozen=True)
class Wanted:
    """All that the host's network is made from."""

    network: Network
    orders: tuple[Order, ...]  # of the guests that this host promised to run


class HostNet(Protocol):
    """The network of one host."""

    @property
    def trouble(self) -> str | None:
        """Why the network is not as it should be; None while it is."""

    async def missing(self, order: Order, network: Network) -> str | None:
        """Return why a guest cannot be plugged in here, or None where it can."""

    async def conflict(self, order: Order, network: Network) -> AddressInUse | None:
        """Ask the wire for the addresses of a guest that is new here; return the first that is in use.

        Raises:
            InnkeeperError: it cannot be asked.
        """

    async def prepare(self, order: Order, wanted: Callable[[], Wanted]) -> tuple[DomainInterface, ...]:
        """Have all ready that a guest's interfaces need, the packet filter first of all; return the interfaces.

        `wanted` gives the orders of all guests as they are now: what is made for one must not shut out another.

        Raises:
            InnkeeperError: the guest must not be started now; trying again may help.
        """

    async def release(self, guest_id: str) -> None:
        """Forget a guest whose machine is gone. Absence is success."""

    async def run(self, wanted: Callable[[], Wanted | None], *, on_trouble: Callable[[], None]) -> None:
        """Keep the network as it should be, for ever. `wanted` is None while nothing was ordered of this host."""
