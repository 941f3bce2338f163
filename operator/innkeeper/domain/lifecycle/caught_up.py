"""With which order a Guest from an older copy of the API server's store was caught up: an annotation of it says so.

What differs from that order since is somebody's change, and no order of that rank or a lower one is newer than the Guest,
whatever generation it names: the copy counts generations on from before. Written by the operator once hosts were heard.
It names its object, since people copy annotations from one Guest to another.
"""

import re

from innkeeper.domain import names
from innkeeper.domain.orders import Rank
from innkeeper.views.guest import Guest

NEVER = Rank(0, 0)
_RANK = re.compile(r"(?P<epoch>[0-9]{1,18})\.(?P<serial>[0-9]{1,18})")


def caught_up_with(guest: Guest) -> Rank:
    """Return the rank of that order; `NEVER` where this very object was not caught up with any."""
    uid, _, rank = guest.metadata.annotations.get(names.CAUGHT_UP_ANNOTATION, "").partition("/")
    return (rank_in(rank) if uid == guest.metadata.uid else None) or NEVER


def caught_up_mark(guest: Guest, rank: Rank) -> str:
    """Return the annotation's value, `UID/EPOCH.SERIAL`, of a Guest that was caught up with an order."""
    return f"{guest.metadata.uid}/{rank.epoch}.{rank.serial}"


def rank_in(text: str) -> Rank | None:
    """Return the rank that a text names as `EPOCH.SERIAL`."""
    found = _RANK.fullmatch(text)
    return Rank(int(found["epoch"]), int(found["serial"])) if found is not None else None
