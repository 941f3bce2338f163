"""A guest's operations: which one its order carries, and how far each one is. Pure.

One at a time for each guest, the oldest first. One that was ordered ends only by what the host reports of it, or with
its guest or host; it is ordered again where its order was lost, since a host knows what it did already by the ID.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from innkeeper.domain.lifecycle.answered import is_destroyed
from innkeeper.domain.lifecycle.projection import newest_report
from innkeeper.domain.orders import Order, OrderInvalidError, OrderOperation, Rank, peek
from innkeeper.domain.reasons import (
    ConditionType,
    GuestReason,
    OperationPhase,
    OperationReason,
    OperationStep,
    Power,
)
from innkeeper.views.assignment import Assignment, OperationReport
from innkeeper.views.guest import Guest
from innkeeper.views.guestoperation import GuestOperation, GuestOperationStatus, OperationStepTime
from innkeeper.views.meta import Condition

UNKNOWN_GUEST_S = 10.0  # the Guest may have been applied just after its operation
NOT_RUNNING_S = 600.0
OUTDATED_S = 86400.0  # by the time of day: further off than a clock is likely to be

_UP = frozenset({GuestReason.RUNNING, GuestReason.NOT_ANSWERING, GuestReason.PAUSED, GuestReason.DISK_FAILED})
"""Reasons of Ready with which a guest's machine is there."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What an operation is judged by. `guest` is who has the name now, if anybody."""

    at: str  # now, as the status tells times
    age_s: float  # for how long it is waited for: see `waited_s`
    guest: Guest | None = None
    guest_id: str | None = None
    assignment: Assignment | None = None
    host_lost: bool = False
    host_silent: bool = False
    turn_of: str | None = None  # the name of the operation whose turn it is


@dataclass(frozen=True)
class _Now:
    """How far an operation is."""

    phase: OperationPhase
    reason: str
    message: str = ""
    report: OperationReport | None = None
    is_ordered: bool = False


def is_over(operation: GuestOperation) -> bool:
    """Tell whether an operation has ended."""
    return operation.status.phase is not None and OperationPhase(operation.status.phase).is_final


def in_turn(operations: Iterable[GuestOperation]) -> list[GuestOperation]:
    """Return those that are not over: what was ordered already, then the oldest."""
    return sorted(
        (each for each in operations if not is_over(each)),
        key=lambda each: (
            not _was_ordered(each),
            each.metadata.creation_timestamp,
            each.metadata.name,
        ),
    )


def is_meant(operation: GuestOperation, guest_id: str) -> bool:
    """Tell whether an operation may be for this guest: one that was deleted before it was ordered is for nobody."""
    is_cancelled = operation.metadata.deletion_timestamp is not None and not _was_ordered(operation)
    return operation.status.guest_id in (None, guest_id) and not is_cancelled


def to_carry(
    guest: Guest,
    guest_id: str,
    operations: Sequence[GuestOperation],
    *,
    assignment: Assignment | None,
    signed: Order | None,
    store_id: str,
    host_silent: bool,
) -> OrderOperation | None:
    """Return the operation that the order of a guest carries: the one that stands there until it is over, then the next.

    `operations` are those for the guest's name that are not given up. One that is over stays, since to take it away
    would be worth no order of its own; but where the host holds a later order than the one that stands. That one is
    from an older copy of the store then: the host may have done so much since that it would do this one once more. Nor
    does one stand there whose object is gone, unless the host tells of it.
    """
    standing = signed.operation if signed is not None and signed.store_id == store_id else None
    is_of_copy = signed is not None and _holds_more(assignment, signed.rank)
    if standing is not None and _stands(standing.id, operations, assignment, is_of_copy=is_of_copy):
        return standing
    if is_of_copy:
        standing = None
    following = next((each for each in in_turn(operations) if is_meant(each, guest_id)), None)
    # Its guest is written down before it is ordered: a later Guest of that name is never meant.
    if following is None or following.status.guest_id is None:
        return standing
    if _was_ordered(following) or (not host_silent and _may_begin(guest, assignment)):
        return OrderOperation(id=following.metadata.uid, kind=following.spec.operation)
    return standing


def outlook(operation: GuestOperation, standing: Standing) -> GuestOperationStatus:
    """Return the status that an operation should have; the conditions' transition times are still open."""
    found = _now(operation, standing)
    before, report = operation.status, found.report
    finished_at = (report.finished_at if report else None) or standing.at
    started_at = before.started_at or (report.started_at if report else None)
    guest_id = before.guest_id or standing.guest_id
    reached = {each.name: each.at for each in before.steps}
    if guest_id is not None:
        reached.setdefault(OperationStep.ACCEPTED, standing.at)
    if found.is_ordered or report is not None:
        reached.setdefault(OperationStep.ORDERED, standing.at)
    if started_at is not None:
        reached.setdefault(OperationStep.STARTED, standing.at)
    if found.phase.is_final:
        reached.setdefault(OperationStep.FINISHED, standing.at)
    return GuestOperationStatus(
        observed_generation=operation.metadata.generation,
        guest_id=guest_id,
        phase=found.phase,
        started_at=started_at,
        finished_at=finished_at if found.phase.is_final else None,
        steps=[OperationStepTime(name=step, at=reached[step]) for step in OperationStep if step in reached],
        conditions=_conditions(operation, found),
    )


def waited_s(*, known_s: float, created_s: float) -> float:
    """Return for how long an operation has been waited for, in seconds.

    That is for how long this process has known of it (`known_s`, on the monotonic clock), since our time of day may be
    hours off, and an end is final. It starts anew with each operator, so what was created a day ago, by the time of day
    (`created_s`), counts from its creation: else an operator that restarts often would let it wait for ever.
    """
    return max(known_s, created_s) if created_s >= OUTDATED_S else known_s


def again_after_s(age_s: float) -> float | None:
    """Return in how many seconds an operation is to be looked at whatever happens: its next deadline."""
    return next((limit - age_s for limit in (UNKNOWN_GUEST_S, NOT_RUNNING_S) if age_s < limit), None)


def _now(operation: GuestOperation, standing: Standing) -> _Now:
    report = _report_of(operation.metadata.uid, standing.assignment)
    if report is not None and OperationPhase(report.phase).is_final:
        return _reported(report)
    guest, meant = standing.guest, operation.status.guest_id
    if guest is None and meant is None:
        return _unknown_guest(operation, standing.age_s)
    if guest is None or meant not in (None, standing.guest_id):
        return _failed(OperationReason.GUEST_DELETED, "the Guest was deleted before the operation was over")
    if (never := _never(guest, standing)) is not None:
        return never
    return _reported(report) if report is not None else _not_begun(operation, guest, standing)


def _never(guest: Guest, standing: Standing) -> _Now | None:
    """Return the end of an operation whose guest goes, or never returns."""
    if guest.metadata.deletion_timestamp is not None:
        return _failed(OperationReason.GUEST_DELETED, "the Guest is being deleted")
    if standing.host_lost:
        message = f"host {guest.status.host} is lost: delete the Guest; its disk does not return"
        return _failed(OperationReason.HOST_LOST, message)
    order = standing.assignment
    if order is not None and is_destroyed(order) and order.spec.epoch == guest.status.epoch:
        message = f"the guest is gone from host {guest.status.host}: its Guest says why"
        return _failed(OperationReason.GUEST_GONE, message)
    return None


def _not_begun(operation: GuestOperation, guest: Guest, standing: Standing) -> _Now:
    if _is_ordered(operation.metadata.uid, standing.assignment) or _was_ordered(operation):
        silence = "; it is not heard now" if standing.host_silent else ""
        message = f"host {guest.status.host} has the order{silence}"
        return _Now(OperationPhase.PENDING, OperationReason.ORDERED, message, is_ordered=True)
    return _waiting(operation, guest, standing)


def _unknown_guest(operation: GuestOperation, age_s: float) -> _Now:
    message = f"there is no Guest {operation.spec.guest_name!r} in this namespace"
    if age_s < UNKNOWN_GUEST_S:
        return _Now(OperationPhase.PENDING, OperationReason.GUEST_NOT_FOUND, message)
    return _failed(
        OperationReason.GUEST_NOT_FOUND, f"{message}: create the operation again once there is one"
    )


def _waiting(operation: GuestOperation, guest: Guest, standing: Standing) -> _Now:
    if guest.spec.power == Power.STOPPED:
        message = "the Guest's power is Stopped: set spec.power to Running, then create the operation again"
        return _failed(OperationReason.GUEST_STOPPED, message)
    if standing.turn_of not in (None, operation.metadata.name):
        message = f"the GuestOperation {standing.turn_of} of this guest comes first"
        return _Now(OperationPhase.PENDING, OperationReason.WAITS_ITS_TURN, message)
    if not standing.host_silent and _is_up(standing.assignment):
        return _Now(OperationPhase.PENDING, OperationReason.PENDING)
    if standing.age_s >= NOT_RUNNING_S:
        message = (
            f"the guest did not run within {NOT_RUNNING_S:.0f} s: look at the Guest's conditions, then create the "
            "operation again"
        )
        return _failed(OperationReason.GUEST_NOT_RUNNING, message)
    message = f"the guest does not run yet; the operation waits for {NOT_RUNNING_S:.0f} s at most"
    if standing.host_silent:
        message = (
            f"host {guest.status.host} is not heard; the operation waits for {NOT_RUNNING_S:.0f} s at most"
        )
    return _Now(OperationPhase.PENDING, OperationReason.WAITS_FOR_GUEST, message)


def _reported(report: OperationReport) -> _Now:
    phase = OperationPhase(report.phase)
    if phase is OperationPhase.FAILED:
        reason = report.reason or GuestReason.DRIVER_FAILED
        return _Now(phase, reason, report.message or "", report=report)
    reason = OperationReason.SUCCEEDED if phase.is_final else OperationReason.RUNNING
    return _Now(phase, reason, report=report)


def _failed(reason: OperationReason, message: str) -> _Now:
    return _Now(OperationPhase.FAILED, reason, message)


def _conditions(operation: GuestOperation, found: _Now) -> list[Condition]:
    def condition(kind: ConditionType, *, status: bool) -> Condition:
        return Condition(
            type=kind,
            status=str(status),
            reason=found.reason,
            message=found.message,
            observed_generation=operation.metadata.generation,
        )

    ready = condition(ConditionType.READY, status=found.phase is OperationPhase.SUCCEEDED)
    failed = found.phase is OperationPhase.FAILED
    return [ready, condition(ConditionType.STALLED, status=True)] if failed else [ready]


def _stands(
    uid: str, operations: Sequence[GuestOperation], assignment: Assignment | None, *, is_of_copy: bool
) -> bool:
    """Tell whether an ordered operation is not over: by its object, else by what the host said of it."""
    known = next((each for each in operations if each.metadata.uid == uid), None)
    if known is not None:
        return not is_over(known)
    report = _report_of(uid, assignment)
    if report is None:
        # A host answers the order that stands; to an older copy's it tells of the one that it holds instead.
        return not is_of_copy
    return not OperationPhase(report.phase).is_final


def _holds_more(assignment: Assignment | None, rank: Rank) -> bool:
    held = assignment.status.held if assignment is not None else None
    return held is not None and Rank(held.epoch, held.serial) > rank


def _may_begin(guest: Guest, assignment: Assignment | None) -> bool:
    return (
        guest.metadata.deletion_timestamp is None and guest.spec.power == Power.RUNNING and _is_up(assignment)
    )


def _is_up(assignment: Assignment | None) -> bool:
    found = newest_report(assignment)
    return found is not None and found[0].reason in _UP


def _was_ordered(operation: GuestOperation) -> bool:
    return any(each.name == OperationStep.ORDERED for each in operation.status.steps)


def _report_of(uid: str, assignment: Assignment | None) -> OperationReport | None:
    report = assignment.status.operation if assignment is not None else None
    return report if report is not None and report.id == uid else None


def _is_ordered(uid: str, assignment: Assignment | None) -> bool:
    if assignment is None:
        return False
    try:
        carried = peek(assignment.spec.order).operation
    except OrderInvalidError:
        return False
    return carried is not None and carried.id == uid
