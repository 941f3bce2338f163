"""What stops a guest before it is placed at all: asked by who leads guests, and by who explains what would become of one.

Reads the subset alone. A guest that runs by another binding, or never will, is placed nowhere.
"""

from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.destroyed import destroyed_since
from innkeeper.domain.lifecycle.projection import lost_message
from innkeeper.domain.lifecycle.revival import is_unbound_revival
from innkeeper.domain.names import REVIVED_FROM_ANNOTATION
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.workers.network import waits_for_twin


def stopped(subset: Subset, guest: Guest, *, now: float) -> Blocked | None:
    """Return what a guest waits for, or ends with, before it is placed; `now` is of the monotonic clock."""
    if guest.metadata.deletion_timestamp is not None:
        message = "the Guest is being deleted: it is placed nowhere"
        return Blocked(step=ConditionType.READY, reason=GuestReason.DELETING, message=message)
    destroyed = destroyed_since(guest)
    if destroyed is not None:
        return destroyed
    if is_unbound_revival(guest):
        host = guest.metadata.annotations[REVIVED_FROM_ANNOTATION]
        message = f"this guest runs on host {host} and is placed nowhere else; it waits to be bound there"
        return Blocked(step=ConditionType.SCHEDULED, reason=GuestReason.REVIVAL_WAITS, message=message)
    if subset.guest_is_lost(guest):
        message = lost_message(guest)
        return Blocked(step=ConditionType.READY, reason=GuestReason.HOST_LOST, message=message)
    return waits_for_twin(subset, guest, now=now) if guest.status.host is None else None
