"""What the agent says in the status of Assignments: made from what is held, at the moment of writing.

It only tells; whether and when something is written is the status writer's business. Nothing is told of an Assignment
whose order was not read yet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from innkeeper.agent.store.operations import OperationRecord
from innkeeper.agent.store.records import AddressInUse, Ready
from innkeeper.clock import Clock
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import ConditionType, OrderOutcome
from innkeeper.kube.conditions import document, documents
from innkeeper.views.assignment import AddressConflict, Assignment, AssignmentStatus, Held, OperationReport
from innkeeper.views.meta import Condition

Key = tuple[str, str]
MAX_MESSAGE = 400  # two SHA-512 digests and what is wrong with them


class Touch(Protocol):
    """Tells the status writer that an object's status may differ now."""

    def __call__(self, key: Key, *, urgent: bool = False) -> None:
        """Have the status rendered and, if it differs, written."""


@dataclass(frozen=True)
class Verdict:
    """What was made of the order in one version of one Assignment."""

    uid: str
    generation: int
    outcome: OrderOutcome
    held: Rank | None
    ready: Ready | None = None  # None: how the guest stands
    conflict: AddressInUse | None = None


class AssignmentReport:
    """The verdicts on the Assignments that are there now."""

    def __init__(
        self,
        *,
        namespace: str,
        shown: Callable[[str], Ready | None],
        operation: Callable[[str], OperationRecord | None],
        built_epoch: Callable[[str], int | None],
        read: Callable[[Key], Assignment | None],
        touch: Touch,
        clock: Clock,
    ) -> None:
        self._namespace = namespace
        self._shown = shown
        self._operation = operation
        self._built_epoch = built_epoch
        self._read = read
        self._touch = touch
        self._clock = clock
        self._verdicts: dict[str, Verdict] = {}

    def say(self, guest_id: str, verdict: Verdict) -> None:
        """Report a verdict."""
        if self._verdicts.get(guest_id) != verdict:
            self._verdicts[guest_id] = verdict
            ready = verdict.ready or self._shown(guest_id)
            settled = ready is not None and ready.status
            self.touch(guest_id, urgent=settled or verdict.outcome != OrderOutcome.ACCEPTED)

    def forget(self, guest_id: str) -> None:
        """The Assignment is gone: there is nothing to report on."""
        self._verdicts.pop(guest_id, None)

    def touch(self, guest_id: str, *, urgent: bool) -> None:
        """Report how a guest stands now."""
        if guest_id in self._verdicts:
            self._touch((self._namespace, guest_id), urgent=urgent)

    def render(self, key: Key) -> dict[str, Any] | None:
        """Return the status that an Assignment should have; None where it has it, or nothing can be said."""
        guest_id = key[1]
        verdict, assignment = self._verdicts.get(guest_id), self._read(key)
        if verdict is None or assignment is None or assignment.metadata.uid != verdict.uid:
            return None
        status: dict[str, Any] = {
            "observedGeneration": verdict.generation,
            "outcome": str(verdict.outcome),
            # None takes away what an earlier store of this host said it held.
            "held": _held(verdict.held),
            "conflict": _conflict(verdict.conflict),
            "operation": _operation(self._operation(guest_id)),
            "builtEpoch": self._built(guest_id, verdict, told=assignment.status.built_epoch),
        }
        ready = verdict.ready or self._shown(guest_id)
        if ready is not None:
            condition = condition_of(ready, generation=verdict.generation)
            status["conditions"] = documents(assignment.status.conditions, [condition], now=self._clock.now())
        return None if _is_told(status, assignment.status) else status

    def _built(self, guest_id: str, verdict: Verdict, *, told: int | None) -> int | None:
        """Return by which epoch the guest has a disk here.

        Where the order is not for this store, what an earlier one said stays: it is asked for with the order that is.
        """
        known = [self._built_epoch(guest_id), told if verdict.outcome == OrderOutcome.INVALID else None]
        return max((each for each in known if each is not None), default=None)


def is_same_order(one: Assignment, other: Assignment) -> bool:
    """Tell whether two versions of an Assignment carry one order.

    Where the store was put back to an older copy, generations count on from there, and may name another order.
    """
    return (one.metadata.uid, one.metadata.generation, one.spec.order) == (
        other.metadata.uid,
        other.metadata.generation,
        other.spec.order,
    )


def condition_of(ready: Ready, *, generation: int) -> Condition:
    """Return the Ready condition, its time still open."""
    return Condition(
        type=ConditionType.READY,
        status="True" if ready.status else "False",
        reason=ready.reason,
        message=ready.message[:MAX_MESSAGE],
        observed_generation=generation,
    )


def _held(rank: Rank | Held | None) -> dict[str, int] | None:
    return None if rank is None else {"epoch": rank.epoch, "serial": rank.serial}


def _conflict(found: AddressInUse | AddressConflict | None) -> dict[str, str | None] | None:
    if found is None:
        return None
    return {"address": found.address, "mac": found.mac, "interface": found.interface}


def _operation(found: OperationRecord | OperationReport | None) -> dict[str, str | None] | None:
    """Return what became of an operation; None takes away what was told of an earlier one."""
    if found is None:
        return None
    return {
        "id": found.id,
        "phase": str(found.phase),
        "startedAt": found.started_at,
        "finishedAt": found.finished_at,
        "reason": found.reason,
        "message": found.message,
    }


def _is_told(status: dict[str, Any], told: AssignmentStatus) -> bool:
    """Tell whether the API server has this status."""
    return status == {
        "observedGeneration": told.observed_generation,
        "outcome": told.outcome,
        "held": _held(told.held),
        "conflict": _conflict(told.conflict),
        "operation": _operation(told.operation),
        "builtEpoch": told.built_epoch,
        **({"conditions": [document(each) for each in told.conditions]} if told.conditions else {}),
    }
