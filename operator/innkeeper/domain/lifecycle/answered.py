"""What a host's answer in an Assignment says of the order that stands there. Pure.

A status may still tell of an older epoch: a later one may come back to a host that refused or destroyed an earlier one,
and the new order is answered only once the agent has read it. So no outcome counts without the epoch that it is of.
"""

from innkeeper.domain.reasons import OrderOutcome
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest


def is_refused(assignment: Assignment) -> bool:
    """Tell whether the host refused this very epoch."""
    held = _held_epoch(assignment, OrderOutcome.REFUSED)
    return held is not None and held == assignment.spec.epoch


def is_refused_now(guest: Guest, assignment: Assignment | None) -> bool:
    """Tell whether the host refused the order of the guest's present epoch."""
    return assignment is not None and is_refused(assignment) and assignment.spec.epoch == guest.status.epoch


def is_destroyed(assignment: Assignment) -> bool:
    """Tell whether the host destroyed the guest for good, as far as this order goes.

    A host answers an order of a lower epoch with the rank of its tombstone, which is final for that one too.
    """
    held = _held_epoch(assignment, OrderOutcome.DESTROYED)
    return held is not None and held >= assignment.spec.epoch


def may_hold(assignment: Assignment) -> bool:
    """Tell whether the host may hold something of the guest: a machine, a disk, or an order that it will obey."""
    return not (is_refused(assignment) or is_destroyed(assignment))


def _held_epoch(assignment: Assignment, outcome: OrderOutcome) -> int | None:
    held = assignment.status.held
    return held.epoch if held is not None and assignment.status.outcome == outcome else None
