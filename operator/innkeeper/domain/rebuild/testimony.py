"""What one host's word is worth: orders count by their signatures, and everything else only of the host itself.

Pure: a host's snapshot in, its testimony out. A host may lie about itself, as it could by doing; it can neither claim a
guest that it was not given nor end another host's guest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from innkeeper.domain.host_store import GuestEntry, TombstoneEntry
from innkeeper.domain.lifecycle.revival import HeldOrder
from innkeeper.domain.orders import OrderInvalidError, Rank, verify
from innkeeper.domain.reasons import Desired, OrderOutcome
from innkeeper.domain.rebuild.findings import Finding, FindingKind
from innkeeper.views.host import HostAgentSpec


@dataclass(frozen=True, kw_only=True)
class HostStore:
    """All that one host told, as it told it."""

    host: str
    settings: HostAgentSpec | None
    guests: Iterable[GuestEntry]
    tombstones: Iterable[TombstoneEntry]


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
    )  # by a signed order, carried out or not: final, and counts everywhere
    own_ends: dict[str, Rank] = field(default_factory=dict)  # destroyed, by the host's word: counts of itself
    findings: list[Finding] = field(default_factory=list)


def judge(told: HostStore, keys: Mapping[str, bytes]) -> Testimony:
    """Return what counts of a host's word; `keys` are the order keys (ID to raw public key)."""
    found = Testimony(host=told.host, settings=told.settings)
    for entry in told.guests:
        if entry.outcome == OrderOutcome.REFUSED:
            continue
        held = _checked(entry.order, entry.guest_id, found, keys)
        if held is None:
            continue
        if held.order.desired == Desired.DESTROYED:
            _raise(found.ends, entry.guest_id, held.order.rank)
            found.ending[entry.guest_id] = held
        elif held.order.desired == Desired.SUPERSEDED:
            found.superseded[entry.guest_id] = held
        else:
            found.guests[entry.guest_id] = held
    for tombstone in told.tombstones:
        _take_end(tombstone, found, keys)
    return found


def _take_end(tombstone: TombstoneEntry, found: Testimony, keys: Mapping[str, bytes]) -> None:
    _raise(found.own_ends, tombstone.guest_id, Rank(tombstone.epoch, tombstone.serial))
    if tombstone.order is None:
        return
    held = _checked(tombstone.order, tombstone.guest_id, found, keys)
    if held is not None and held.order.desired == Desired.DESTROYED:
        _raise(found.ends, tombstone.guest_id, held.order.rank)


def _raise(ends: dict[str, Rank], guest_id: str, rank: Rank) -> None:
    ends[guest_id] = max(rank, ends.get(guest_id, rank))


def _checked(text: str, guest_id: str, found: Testimony, keys: Mapping[str, bytes]) -> HeldOrder | None:
    """Return the order if it is ours, that guest's and that host's."""
    try:
        order = verify(text, keys)
    except OrderInvalidError as error:
        kind, why = FindingKind.ORDER_NOT_OURS, error.message
    else:
        if (order.host, order.guest_id) == (found.host, guest_id):
            return HeldOrder(order=order, text=text)
        kind = FindingKind.ORDER_MISPLACED
        why = f"it is the guest {order.guest_id}'s on host {order.host}"
    message = f"an order that host {found.host} shows for the guest {guest_id[:63]} does not count: {why}"
    found.findings.append(Finding(kind=kind, host=found.host, subject=guest_id[:63], message=message))
    return None
