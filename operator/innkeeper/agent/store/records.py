"""What the database holds, as plain data."""

from dataclasses import dataclass
from enum import StrEnum

from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome


class Life(StrEnum):
    """What was last made of a guest: it tells a machine that ended by itself from one that we turned off."""

    NEW = "New"  # not built yet
    UP = "Up"  # started; when it is found off, it ended by itself or the host did
    OFF = "Off"  # turned off by order
    RESTING = "Resting"  # ended by itself, and its restart policy lets it rest


@dataclass(frozen=True)
class Ready:
    """The Ready condition without its times."""

    status: bool
    reason: str
    message: str = ""


@dataclass(frozen=True)
class AddressInUse:
    """An address of an order that another machine uses, and that machine's MAC."""

    address: str
    mac: str


@dataclass(frozen=True)
class GuestRecord:
    """One guest: the newest order, as it was signed, and what became of it."""

    guest_id: str
    order: str
    rank: Rank
    namespace: str
    name: str
    outcome: OrderOutcome  # Accepted or Refused
    life: Life
    ready: Ready
    conflict: AddressInUse | None = None  # of a refused order


@dataclass(frozen=True)
class Tombstone:
    """A guest that was destroyed here by an order of this rank.

    `order` is that order as it was signed. One of an earlier version of the agent, or one that lies far back, has none.
    """

    guest_id: str
    rank: Rank
    order: str | None = None
    namespace: str | None = None
    name: str | None = None
