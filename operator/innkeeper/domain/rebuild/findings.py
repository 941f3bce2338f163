"""What a rebuild tells people of: what did not count, what differs, and what it leaves to others. Only values."""

from dataclasses import dataclass
from enum import StrEnum

from innkeeper.domain.orders import Rank


class FindingKind(StrEnum):
    """What was found."""

    ORDER_NOT_OURS = "OrderNotOurs"  # no key of ours signed it; it counts for nothing
    ORDER_MISPLACED = "OrderMisplaced"  # it is another host's or another guest's; it counts for nothing
    END_NOT_PROVEN = "EndNotProven"  # a host says that it destroyed another host's guest, and shows no order
    SUPERSEDED = "Superseded"  # the guest lives on another host, by the order there
    HOLDER_UNKNOWN = (
        "HolderUnknown"  # a host keeps the disk of a guest that lives elsewhere: on no host that was heard
    )
    DESTROYED = "Destroyed"  # the guest was destroyed by a later order, and is not made anew
    ENDING = "Ending"  # a host is to destroy a guest, and has not yet: its addresses stay its own until then
    SETTINGS_UNKNOWN = "SettingsUnknown"  # a host never had settings, so its Host cannot be made
    SCHEDULING_UNKNOWN = (
        "SchedulingUnknown"  # a host does not tell whether it takes new guests: its Host takes none
    )
    SETTINGS_DIFFER = (
        "SettingsDiffer"  # hosts tell different things of one Cluster or Flavor; most of them count
    )
    CAUGHT_UP = (
        "CaughtUp"  # a Guest of an older copy of the store was brought to what its host was ordered since
    )
    CHANGED_SINCE = "ChangedSince"  # somebody changed a Guest after the store was put back: that stays
    NOT_CAUGHT_UP = (
        "NotCaughtUp"  # the power of a Guest is an older copy's, and the API server refuses its host's
    )
    NOT_MADE = "NotMade"  # the API server refuses an object as it is
    NOT_CLAIMED = "NotClaimed"  # an address in use is held by nobody: nothing may be given before it is
    NOT_REVIVED = "NotRevived"  # something is in the way of a guest's objects; the guest itself runs on
    NOT_ENDED = "NotEnded"  # a Guest stands for a guest that was destroyed, and cannot be changed to say so


FAILURES = frozenset(
    {
        FindingKind.SETTINGS_UNKNOWN,
        FindingKind.NOT_MADE,
        FindingKind.NOT_CAUGHT_UP,
        FindingKind.NOT_CLAIMED,
        FindingKind.NOT_REVIVED,
        FindingKind.NOT_ENDED,
    }
)
"""Findings after which something is not as it should be: a person has to act."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a person should know; `subject` names a guest (its Guest ID) or an object."""

    kind: FindingKind
    host: str
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def rank_text(rank: Rank) -> str:
    """Return a rank as people read it: `EPOCH.SERIAL`."""
    return f"{rank.epoch}.{rank.serial}"
