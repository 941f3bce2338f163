"""What one host's word is worth: orders count by their signatures, and everything else only of the host itself.

Pure: what a host tells in, entry by entry, its testimony out. A host may lie about itself, as it could by doing; it can
neither claim a guest that it was not given nor end another host's guest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from innkeeper.domain.host_store import GuestEntry, TombstoneEntry, held_since
from innkeeper.domain.lifecycle.revival import HeldOrder
from innkeeper.domain.orders import OrderInvalidError, Rank, verify
from innkeeper.domain.reasons import Desired, OrderOutcome
from innkeeper.domain.rebuild.findings import Finding, FindingKind
from innkeeper.views.host import HostAgentSpec

MAX_FORGOTTEN = 128  # characters of a host's word that go into an annotation


@dataclass(kw_only=True)
class Testimony:
    """All of it that counts. Refused guests hold nothing and are left out."""

    host: str
    settings: HostAgentSpec | None
    guests: dict[str, HeldOrder] = field(default_factory=dict)  # by Guest ID
    superseded: dict[str, HeldOrder] = field(
        default_factory=dict
    )  # live elsewhere; their disks are kept here
    ending: dict[str, HeldOrder] = field(default_factory=dict)  # to be destroyed here, and not yet
    ends: dict[str, Rank] = field(
        default_factory=dict
    )  # by a signed order, carried out or not: it counts elsewhere too
    own_ends: dict[str, Rank] = field(default_factory=dict)  # destroyed, by the host's word: counts of itself
    forgotten: dict[str, str] = field(
        default_factory=dict
    )  # of these: by whom and when it was taken off the host
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _End:
    """A guest that the host destroyed: by its word, and by the order that it shows, or what is wrong with that.

    `forgotten` is its word of who took the guest off it instead.
    """

    told: Rank
    proven: Rank | Finding | None
    forgotten: str


class Judging:
    """Judges what one host tells. Of each guest the newest entry counts; of a tombstone no order is kept, only the ranks.

    A host may have destroyed very many guests.
    """

    def __init__(self, host: str, keys: Mapping[str, bytes]) -> None:
        """`keys` are the order keys (ID to raw public key)."""
        self._host = host
        self._keys = keys
        self._held: dict[str, HeldOrder | Finding] = {}  # by Guest ID
        self._ends: dict[str, _End] = {}
        self.settings: HostAgentSpec | None = None

    def take(self, entry: GuestEntry | TombstoneEntry) -> None:
        """Take what the host says of one guest."""
        if isinstance(entry, TombstoneEntry):
            self._ends[entry.guest_id] = self._end(entry)
        elif entry.outcome == OrderOutcome.REFUSED:
            self._held.pop(entry.guest_id, None)
        else:
            held = self._checked(entry.order, entry.guest_id)
            if isinstance(held, HeldOrder):
                held = replace(held, since=held_since(entry))
            self._held[entry.guest_id] = held

    def drop(self, guest_id: str) -> None:
        """Forget what the host said of a guest: it changed since."""
        self._held.pop(guest_id, None)
        self._ends.pop(guest_id, None)

    def testimony(self) -> Testimony:
        """Return all that counts of what was taken."""
        found = Testimony(host=self._host, settings=self.settings)
        for guest_id, held in self._held.items():
            if isinstance(held, Finding):
                found.findings.append(held)
            elif held.order.desired == Desired.DESTROYED:
                _raise(found.ends, guest_id, held.order.rank)
                found.ending[guest_id] = held
            elif held.order.desired == Desired.SUPERSEDED:
                found.superseded[guest_id] = held
            else:
                found.guests[guest_id] = held
        for guest_id, end in self._ends.items():
            found.own_ends[guest_id] = end.told
            if end.forgotten:
                found.forgotten[guest_id] = end.forgotten
            if isinstance(end.proven, Finding):
                found.findings.append(end.proven)
            elif end.proven is not None:
                _raise(found.ends, guest_id, end.proven)
        return found

    def _end(self, tombstone: TombstoneEntry) -> _End:
        told, forgotten = Rank(tombstone.epoch, tombstone.serial), tombstone.forgotten[:MAX_FORGOTTEN]
        if tombstone.order is None:
            return _End(told, None, forgotten)
        shown = self._checked(tombstone.order, tombstone.guest_id)
        if isinstance(shown, Finding):
            return _End(told, shown, forgotten)
        return _End(told, shown.order.rank if shown.order.desired == Desired.DESTROYED else None, forgotten)

    def _checked(self, text: str, guest_id: str) -> HeldOrder | Finding:
        """Return the order if it is ours, that guest's and this host's; else what a person is told of it."""
        try:
            order = verify(text, self._keys)
        except OrderInvalidError as error:
            kind, why = FindingKind.ORDER_NOT_OURS, error.message
        else:
            if (order.host, order.guest_id) == (self._host, guest_id):
                return HeldOrder(order=order, text=text)
            kind = FindingKind.ORDER_MISPLACED
            why = f"it is the guest {order.guest_id}'s on host {order.host}"
        message = f"an order that host {self._host} shows for the guest {guest_id[:63]} does not count: {why}"
        return Finding(kind=kind, host=self._host, subject=guest_id[:63], message=message)


def _raise(ends: dict[str, Rank], guest_id: str, rank: Rank) -> None:
    ends[guest_id] = max(rank, ends.get(guest_id, rank))
