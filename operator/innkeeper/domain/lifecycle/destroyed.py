"""Guests whose objects came back with an older copy of the API server's store, and that were to be destroyed since.

The order to destroy is final: no other is made for such a Guest in the epoch of its end or an earlier one. The annotation
says so, written by the operator once the hosts were heard. A person deletes the Guest, and creates another one to have it
again.
"""

from innkeeper.domain import names
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.caught_up import rank_in
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.views.guest import Guest


def destroyed_since(guest: Guest) -> Blocked | None:
    """Return why a Guest goes no further, if its guest was destroyed; a later binding voids the note."""
    end = rank_in(guest.metadata.annotations.get(names.DESTROYED_ANNOTATION, ""))
    if end is None or end.epoch < guest.status.epoch:
        return None
    message = (
        "the order to destroy this guest was given after the moment that the API server's store was put back to: delete "
        "the Guest; its disk does not return"
    )
    return Blocked(step=ConditionType.READY, reason=GuestReason.DESTROYED_SINCE, message=message)
