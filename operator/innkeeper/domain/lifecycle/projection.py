"""A Guest's status from what is known: the binding, what the host said of its order, and why it does not go on.

Pure: times are added by who writes. Four conditions, and `Stalled` only while a person has to act. `Ready` carries a
generation only once the host reported the order that was made from it; until then `Reconciling` stands beside a Ready
that is True of an older one, since kstatus looks at no condition's generation.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from innkeeper.domain.lifecycle.answered import is_destroyed
from innkeeper.domain.lifecycle.blocked import STALLED, Blocked
from innkeeper.domain.lifecycle.destroyed import OVER
from innkeeper.domain.orders import OrderInvalidError, peek
from innkeeper.domain.reasons import ConditionType, GuestReason, OrderOutcome, RestartPolicy
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.views.meta import Condition

_STEPS = (ConditionType.IMAGE_RESOLVED, ConditionType.SCHEDULED, ConditionType.ADDRESSES_ASSIGNED)
_DONE = {
    ConditionType.IMAGE_RESOLVED: GuestReason.IMAGE_RESOLVED,
    ConditionType.SCHEDULED: GuestReason.SCHEDULED,
    ConditionType.ADDRESSES_ASSIGNED: GuestReason.ADDRESSES_ASSIGNED,
}
# What a person does about a guest that its host has no more, although nobody deleted the Guest.
_ENDED: dict[str, str] = {
    GuestReason.FORGOTTEN_AT_HOST: "delete the Guest to make an end of it",
    GuestReason.DESTROYED: "its host destroyed it, and its disk does not return: delete the Guest",
}


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that a Guest's status is made from."""

    guest: Guest
    assignment: Assignment | None = None
    blocked: Blocked | None = None
    host_silent: bool = False
    host_lost: bool = False
    host_ready: Condition | None = None  # of the Host that it is bound to


def conditions(situation: Situation) -> list[Condition]:
    """Return the conditions that a Guest should show, without transition times."""
    ready = _ready(situation)
    found = [*_steps(situation), ready]
    stalled = _stalled(situation, ready)
    if stalled is not None:
        reason, message = stalled
        found.append(
            _condition(situation, ConditionType.STALLED, status="True", reason=reason, message=message)
        )
    elif ready.status == "True" and ready.observed_generation != situation.guest.metadata.generation:
        found.append(_reconciling(situation))
    return found


def _reconciling(situation: Situation) -> Condition:
    blocked = situation.blocked
    reason = blocked.reason if blocked is not None else GuestReason.WAITING_FOR_HOST
    message = f"host {situation.guest.status.host} has not answered the newest order yet"
    return _condition(
        situation,
        ConditionType.RECONCILING,
        status="True",
        reason=reason,
        message=blocked.message if blocked is not None else message,
    )


def _stalled(situation: Situation, ready: Condition) -> tuple[str, str] | None:
    """Return what a person has to change, if anything: also for a guest that runs on while its order cannot be made."""
    if ready.status != "True":
        # Its restart policy lets a guest that crashed rest, so it does not start by itself.
        rests = (
            ready.reason == GuestReason.CRASHED and situation.guest.spec.restart_policy == RestartPolicy.NEVER
        )
        return (ready.reason, ready.message) if rests or ready.reason in STALLED else None
    blocked = situation.blocked
    return (blocked.reason, blocked.message) if blocked is not None and blocked.reason in STALLED else None


def _steps(situation: Situation) -> Iterator[Condition]:
    bound = situation.guest.status.host is not None
    blocked = situation.blocked
    for step in _STEPS:
        if bound:
            yield _condition(
                situation, step, status="True", reason=_DONE[step], message=_said(situation.guest, step)
            )
        elif blocked is not None and blocked.step == step:
            yield _condition(situation, step, status="False", reason=blocked.reason, message=blocked.message)
        elif blocked is not None and step in blocked.passed:
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
        return _not_ready(GuestReason.HOST_LOST, lost_message(situation.guest))
    host = situation.guest.status.host
    if situation.host_silent and host is not None:
        message = f"host {host} is not heard; the guest may well be running there"
        return _not_ready(GuestReason.HOST_UNREACHABLE, message, status="Unknown")
    reported = _reported(situation) if host is not None else _not_ready(GuestReason.PENDING, "")
    blocked = situation.blocked
    # What was said before of a guest that is gone is true no more.
    if blocked is not None and (reported.status != "True" or blocked.reason in OVER):
        return _not_ready(blocked.reason, blocked.message)
    return reported


def _not_ready(reason: GuestReason, message: str, *, status: str = "False") -> Condition:
    """What the operator itself says of Ready carries no generation: that is for the host's report alone."""
    return Condition(type=ConditionType.READY, status=status, reason=reason, message=message)


def lost_message(guest: Guest) -> str:
    """Return what is said of a guest whose host a person gave up."""
    return f"host {guest.status.host} is lost: delete the Guest; its disk does not return"


def _deleting(situation: Situation) -> Condition:
    if situation.host_lost:
        return _not_ready(GuestReason.HOST_LOST, lost_message(situation.guest))
    if situation.host_silent and situation.guest.status.host is not None:
        message = (
            f"host {situation.guest.status.host} is not heard: the guest is destroyed when it returns; if it never "
            "will, set spec.lost of its Host"
        )
        return _not_ready(GuestReason.DELETION_WAITS_FOR_HOST, message)
    return _not_ready(GuestReason.DELETING, situation.blocked.message if situation.blocked else "")


def _reported(situation: Situation) -> Condition:
    """What the host said, if it speaks of the newest order; else what was said before, which keeps its generation."""
    assignment = situation.assignment
    reported = newest_report(assignment)
    if reported is not None:
        condition, generation = reported
        return Condition(
            type=ConditionType.READY,
            status=condition.status,
            reason=condition.reason,
            message="; ".join(each for each in (condition.message, _ENDED.get(condition.reason)) if each),
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
        return _not_ready(GuestReason.ORDER_INVALID, message)
    return _waiting_for_host(situation)


def _waiting_for_host(situation: Situation) -> Condition:
    """An order that is not answered; a host that says why it takes none is told of."""
    message, ready = f"host {situation.guest.status.host} has not answered yet", situation.host_ready
    if ready is None or ready.status != "False":
        return _not_ready(GuestReason.WAITING_FOR_HOST, message)
    is_full = ready.reason == GuestReason.HOST_DISK_FULL
    reason = GuestReason.HOST_DISK_FULL if is_full else GuestReason.WAITING_FOR_HOST
    return _not_ready(reason, f"{message}; it says {ready.reason}: {ready.message}".rstrip(": "))


def newest_report(assignment: Assignment | None) -> tuple[Condition, int] | None:
    """Return the host's Ready and the Guest's generation that its order was made from, if it is the newest order.

    That the guest is gone from the host for good holds for every order of its epoch, also for one not answered yet.
    """
    if assignment is None or assignment.status.held is None:
        return None
    held = assignment.status.held
    is_newest = (held.epoch, held.serial) == (assignment.spec.epoch, assignment.spec.serial)
    if not (is_newest or is_destroyed(assignment)):
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
