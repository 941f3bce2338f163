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
    PAUSED = "Paused"  # stands still by an operation, until another one or a start
    RESTING = "Resting"  # ended by itself, and its restart policy lets it rest


@dataclass(frozen=True)
class Ready:
    """The Ready condition without its times."""

    status: bool
    reason: str
    message: str = ""


@dataclass(frozen=True)
class AddressInUse:
    """An address of an order that another machine uses, that machine's MAC, and whose address it is in the order."""

    address: str
    mac: str
    interface: str | None = None  # None: noted by an earlier agent


COPIED_AT = "copied_at"  # when the backup was taken that a store was put back from
TRUSTS_COPY = "trusts_copy"  # a setting: a person lets guests of a store that was put back start by it


class LocalPower(StrEnum):
    """What a person at the host wants of a guest."""

    RUNNING = "Running"  # started by this person's word, though no order for this store confirms it
    STOPPED = "Stopped"


@dataclass(frozen=True)
class LocalWish:
    """What a person at the host wants of a guest, who it was, and when (RFC 3339)."""

    power: LocalPower
    by: str
    at: str


@dataclass(frozen=True)
class GuestRecord:
    """One guest: the newest order and what became of it.

    The order is as it was signed; of a refused one only what `refusals` keeps.
    """

    guest_id: str
    order: str
    rank: Rank
    namespace: str
    name: str
    outcome: OrderOutcome  # Accepted or Refused
    life: Life
    ready: Ready
    conflict: AddressInUse | None = None  # of a refused order
    accepted_at: str = ""  # RFC 3339: when this host promised to run it; the older starts first
    wish: LocalWish | None = None
    boot: str = ""  # in which boot of the host its machine lived last; empty where that was not kept


@dataclass(frozen=True)
class Tombstone:
    """A guest that was destroyed here by an order of this rank, or that a person took off this host.

    `order` is the order to destroy as it was signed. One of an earlier version of the agent, one that lies far back, and
    one that a person made have none.
    """

    guest_id: str
    rank: Rank
    order: str | None = None
    namespace: str | None = None
    name: str | None = None
    forgotten: str = ""  # by whom and when, where a person took it off this host

    @property
    def what(self) -> str:
        """What became of the guest, for the change log."""
        return "Forgotten" if self.forgotten else "Destroyed"
