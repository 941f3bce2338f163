"""When a Guest that somebody applied anew, as a pipeline does to an empty API server, stands for a guest that runs.

Only one that was never placed, and that asks for what the guest is: else a person has to say which of the two is meant.
Pure.
"""

from typing import Any

import msgspec

from innkeeper.domain import names
from innkeeper.domain.orders import Order
from innkeeper.views.guest import Guest, GuestSpec


def may_take_over(guest: Guest, order: Order) -> bool:
    """Tell whether a Guest of the order's name may get its Guest ID."""
    untouched = guest.status.host is None and guest.status.epoch == 0 and not guest.status.addresses
    identified = names.ID_ANNOTATION in guest.metadata.annotations
    leaving = guest.metadata.deletion_timestamp is not None
    return untouched and not identified and not leaving and _fixed(guest.spec) == _fixed(order.spec)


def take_over(guest: Guest, order: Order) -> dict[str, Any]:
    """Return the change that gives a Guest the identity of the guest that runs."""
    marks = {names.ID_ANNOTATION: order.guest_id, names.REVIVED_FROM_ANNOTATION: order.host}
    finalizers = [*guest.metadata.finalizers]
    if names.GUEST_FINALIZER not in finalizers:
        finalizers.append(names.GUEST_FINALIZER)
    return {"metadata": {"annotations": marks, "finalizers": finalizers}}


def _fixed(spec: GuestSpec) -> GuestSpec:
    """Return a spec without what may be changed in a Guest."""
    return msgspec.structs.replace(spec, power="", restart_policy="", readiness_probe=None)
