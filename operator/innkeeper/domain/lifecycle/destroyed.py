"""Guests whose objects came back with an older copy of the API server's store, and that were to be destroyed since.

The order to destroy is final: no other is made for such a Guest in the epoch of its end or an earlier one. The annotation
says so, written by the operator once the hosts were heard. A person deletes the Guest, and creates another one to have it
again. So it is with a guest that a person took off its host, in whatever store its Guest is; a second annotation says who
that was. An operator of an earlier version passes over that one.
"""

from innkeeper.domain import names
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.caught_up import rank_in
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.views.guest import Guest

OVER = frozenset(
    {GuestReason.DESTROYED_SINCE, GuestReason.FORGOTTEN_AT_HOST}
)  # the guest is gone from its host


def end_mark(rank: str, *, forgotten: str) -> dict[str, str]:
    """Return the annotations that say so; `rank` as EPOCH.SERIAL, `forgotten` by whom and when, or empty."""
    word = {names.FORGOTTEN_ANNOTATION: f"{rank}/{forgotten}"} if forgotten else {}
    return {names.DESTROYED_ANNOTATION: rank, **word}


def destroyed_since(guest: Guest) -> Blocked | None:
    """Return why a Guest goes no further, if its guest was destroyed or forgotten; a later binding voids the note."""
    mark = guest.metadata.annotations.get(names.DESTROYED_ANNOTATION, "")
    end = rank_in(mark)
    if end is None or end.epoch < guest.status.epoch:
        return None
    rank, _, who = guest.metadata.annotations.get(names.FORGOTTEN_ANNOTATION, "").partition("/")
    if who and rank == mark:
        message = (
            f"taken off its host by {who}; its files were set aside there, not deleted: delete the Guest to make an end "
            "of it"
        )
        return Blocked(step=ConditionType.READY, reason=GuestReason.FORGOTTEN_AT_HOST, message=message)
    message = (
        "the order to destroy this guest was given after the moment that the API server's store was put back to: delete "
        "the Guest; its disk does not return"
    )
    return Blocked(step=ConditionType.READY, reason=GuestReason.DESTROYED_SINCE, message=message)
