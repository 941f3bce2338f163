"""Why a guest cannot go on: the step where it stands, a stable reason, and words that say what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.domain.scheduling.request import Request

STALLED = frozenset(
    {
        GuestReason.IMAGE_NOT_FOUND,
        GuestReason.IMAGE_NOT_SHARED,
        GuestReason.IMAGE_FAILED,
        GuestReason.IMAGE_LARGER_THAN_DISK,
        GuestReason.FLAVOR_NOT_FOUND,
        GuestReason.REVIVAL_FAILED,
        GuestReason.POOL_NOT_FOUND,
        GuestReason.POOL_UNUSABLE,
        GuestReason.POOL_NOT_SERVING_CLUSTER,
        GuestReason.POOLS_OF_ONE_FAMILY,
        GuestReason.POOLS_OF_TWO_VLANS,
        GuestReason.ADDRESS_OUTSIDE_POOL,
        GuestReason.ADDRESS_RESERVED,
        GuestReason.ADDRESS_TAKEN,
        GuestReason.MAC_IN_USE,
        GuestReason.USER_DATA_NOT_FOUND,
        GuestReason.USER_DATA_TOO_LARGE,
        GuestReason.IMAGE_DIGEST_MISMATCH,
        GuestReason.IMAGE_UNREADABLE,
        GuestReason.DISK_MISSING,
        GuestReason.ORDER_INVALID,
        GuestReason.ORDER_TOO_LARGE,
        GuestReason.HOST_LOST,
        GuestReason.FORGOTTEN_AT_HOST,
        GuestReason.DESTROYED,
        GuestReason.DESTROYED_SINCE,
        GuestReason.STOPPED_AT_HOST,
    }
)
"""Reasons that end only when somebody changes something."""


@dataclass(frozen=True, kw_only=True)
class Blocked:
    """One guest cannot go on for now."""

    step: ConditionType
    reason: GuestReason
    message: str
    passed: tuple[ConditionType, ...] = ()  # steps that are known to be done
    causes: tuple[str, ...] = ()  # whose change could help
    # How many of a cause that comes one by one, if not one.
    needs: Mapping[str, int] = field(default_factory=dict)
    waits_for_room: Request | None = None  # no host fits this request now
    # The line of those who wait for room in which it stays, if it stands there.
    keeps_line: Request | None = None
    again_after_s: float | None = None  # for causes that are not watched
