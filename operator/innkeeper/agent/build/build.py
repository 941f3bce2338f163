"""What the steps of one build share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from innkeeper.agent.build.ports import Backing, ImageStore
from innkeeper.agent.build.stopwatch import Stopwatch
from innkeeper.agent.drivers.driver import DomainInterface, Driver
from innkeeper.agent.net.network import HostNet, Wanted
from innkeeper.agent.paths import GuestFiles
from innkeeper.agent.store.records import Ready
from innkeeper.domain.orders import Order, OrderImage, OrderInvalidError
from innkeeper.domain.reasons import GuestReason

HYPERVISOR = "hypervisor"
IMAGE = "image"
NETWORK = "network"


class UserDataSource(Protocol):
    """Where user data that came from a Secret is read."""

    async def user_data(self, secret: str, *, digest: str | None) -> bytes:
        """Return the bytes under `userData`, checked against the digest."""


@dataclass
class Build:
    """One build of one guest; made anew for each try."""

    order: Order
    files: GuestFiles
    wanted: Callable[[], Wanted]  # the network and all guests, as they are at the moment
    host_net: HostNet
    driver: Driver
    images: ImageStore
    user_data: UserDataSource
    stopwatch: Stopwatch
    show: Callable[[Ready], None]
    was_built: bool  # it has a disk, with what its guest wrote
    interfaces: tuple[DomainInterface, ...] = ()  # set by the step that plugs them in
    base: Backing | None = None  # the image as it can be read: set by the first step

    @property
    def image(self) -> OrderImage:
        """The order's image: an order to build has one."""
        if self.order.image is None:
            raise OrderInvalidError("the order names no image")
        return self.order.image

    @property
    def newest(self) -> Order:
        """The guest's order as it is held now: to wait for an image may take long."""
        orders = self.wanted().orders
        return next((each for each in orders if each.guest_id == self.order.guest_id), self.order)

    def at(self, reason: GuestReason, message: str = "") -> None:
        """Show that the build has come to a step."""
        self.show(Ready(status=False, reason=reason, message=message))


BuildStep = Callable[[Build], Awaitable[None]]
