"""A Guest's status from what is known: the binding, what the host said of its order, and why it does not go on.

Pure: times are added by who writes. Four conditions, and `Stalled` only while a person has to act. `Ready` carries a
generation only once the host reported the order that was made from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from innkeeper.domain.lifecycle.blocked import STALLED, Blocked
from innkeeper.domain.orders import OrderInvalidError, peek
from innkeeper.domain.reasons import ConditionType, GuestReason, OrderOutcome
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.views.meta import Condition

_STEPS = (ConditionType.IMAGE_RESOLVED, ConditionType.SCHEDULED, ConditionType.ADDRESSES_ASSIGNED)
_DONE = {
    ConditionType.IMAGE_RESOLVED: GuestReason.IMAGE_RESOLVED,
    ConditionType.SCHEDULED: GuestReason.SCHEDULED,
    ConditionType.ADDRESSES_ASSIGNED: GuestReason.ADDRESSES_ASSIGNED,
}


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that a Guest's status is made from."""

    guest: Guest
    assignment: Assignment | None = None
    blocked: Blocked | None = None
    host_silent: bool = False
    host_lost: bool = False


def conditions(situation: Situation) -> list[Condition]:
    """Return the conditions that a Guest should show, without transition times."""
    ready = _ready(situation)
    found = [*_steps(situation), ready]
    # A guest that runs may keep an old reason while a change waits; only what stands now can stall it.
    if ready.reason in STALLED and ready.status != "True":
        found.append(
            _condition(
                situation, ConditionType.STALLED, status="True", reason=ready.reason, message=ready.message
            )
        )
    return found


def _steps(situation: Situation) -> Iterator[Condition]:
    bound = situation.guest.status.host is not None
    blocked = situation.blocked
    passed = True
    for step in _STEPS:
        if bound:
            yield _condition(
                situation, step, status="True", reason=_DONE[step], message=_said(situation.guest, step)
            )
        elif blocked is not None and blocked.step == step:
            passed = False
            yield _condition(situation, step, status="False", reason=blocked.reason, message=blocked.message)
        elif passed and blocked is not None and blocked.step in _STEPS:
            yield _condition(situation, step, status="True", reason=_DONE[step], message="")
        else:
            yield _condition(situation, step, status="Unknown", reason=GuestReason.PENDING, message="")


def _said(guest: Guest, step: ConditionType) -> str:
    status = guest.status
    if step == ConditionType.SCHEDULED:
        return f"host {status.host}"
    if step == ConditionType.ADDRESSES_ASSIGNED:
        return ", ".join(each.address for each in status.addresses)
    return status.image.digest if status.image else ""


def _ready(situation: Situation) -> Condition:
    if situation.guest.metadata.deletion_timestamp is not None:
        return _deleting(situation)
    if situation.host_lost:
        message = f"host {situation.guest.status.host} is lost: delete the Guest; its disk does not return"
        return _condition(
            situation, ConditionType.READY, status="False", reason=GuestReason.HOST_LOST, message=message
        )
    if situation.host_silent and situation.guest.status.host is not None:
        message = f"host {situation.guest.status.host} is not heard; the guest may well be running there"
        return _condition(
            situation, ConditionType.READY, status="Unknown", reason=GuestReason.HOST_SILENT, message=message
        )
    if situation.blocked is not None:
        blocked = situation.blocked
        return _condition(
            situation, ConditionType.READY, status="False", reason=blocked.reason, message=blocked.message
        )
    if situation.guest.status.host is None:
        return _condition(
            situation, ConditionType.READY, status="False", reason=GuestReason.PENDING, message=""
        )
    return _reported(situation)


def _deleting(situation: Situation) -> Condition:
    if situation.host_silent and situation.guest.status.host is not None and not situation.host_lost:
        message = (
            f"host {situation.guest.status.host} is not heard: the guest is destroyed when it returns, or when the "
            "Host's spec.lost says that it never will"
        )
        reason = GuestReason.DELETION_WAITS_FOR_HOST
    else:
        message = situation.blocked.message if situation.blocked else ""
        reason = GuestReason.DELETING
    return _condition(situation, ConditionType.READY, status="False", reason=reason, message=message)


def _reported(situation: Situation) -> Condition:
    """What the host said, if it speaks of the newest order; else what was said before, which keeps its generation."""
    assignment = situation.assignment
    reported = _newest_report(assignment)
    if reported is not None:
        condition, generation = reported
        return Condition(
            type=ConditionType.READY,
            status=condition.status,
            reason=condition.reason,
            message=condition.message,
            observed_generation=generation,
        )
    before = next(
        (each for each in situation.guest.status.conditions if each.type == ConditionType.READY), None
    )
    if before is not None and before.status == "True":
        return before
    if assignment is not None and assignment.status.outcome == OrderOutcome.INVALID:
        invalid = next(
            (each for each in assignment.status.conditions if each.type == ConditionType.READY), None
        )
        message = invalid.message if invalid else "the host does not accept the order"
        return _condition(
            situation, ConditionType.READY, status="False", reason=GuestReason.ORDER_INVALID, message=message
        )
    message = f"host {situation.guest.status.host} has not answered yet"
    return Condition(
        type=ConditionType.READY, status="False", reason=GuestReason.WAITING_FOR_HOST, message=message
    )


def _newest_report(assignment: Assignment | None) -> tuple[Condition, int] | None:
    """Return the host's Ready and the Guest's generation that its order was made from, if it is the newest order."""
    if assignment is None or assignment.status.held is None:
        return None
    held = assignment.status.held
    if (held.epoch, held.serial) != (assignment.spec.epoch, assignment.spec.serial):
        return None
    ready = next((each for each in assignment.status.conditions if each.type == ConditionType.READY), None)
    if ready is None:
        return None
    try:
        return ready, peek(assignment.spec.order).generation
    except OrderInvalidError:
        return None


def _condition(
    situation: Situation, kind: ConditionType, *, status: str, reason: str, message: str
) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        observed_generation=situation.guest.metadata.generation,
    )
