"""Which changes of a Guest are worth a Kubernetes Event: trouble, and the ends of operations.

A build that goes well has none: its times stand in the conditions, and two more writes for each guest would be too many.
Only what changes before our eyes is told; a process that begins to lead tells nothing of what it finds. What a host that
is read keeps in its history is told from there, with the time when it happened: see `workers.hosts.histories`.
"""

from collections.abc import Callable

from innkeeper.domain.lifecycle.answered import is_refused_now
from innkeeper.domain.lifecycle.history import NOTABLE, TROUBLE
from innkeeper.domain.lifecycle.operations import is_over
from innkeeper.domain.reasons import ConditionType, GuestReason, OperationPhase, OrderOutcome
from innkeeper.kube.conditions import find
from innkeeper.kube.events import News
from innkeeper.kube.informer import Change
from innkeeper.kube.resources import GUESTS
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.guestoperation import GuestOperation

_TROUBLE = TROUBLE | {
    GuestReason.HOST_UNREACHABLE,
    GuestReason.HOST_LOST,
    GuestReason.DELETION_WAITS_FOR_HOST,
}


class GuestEvents:
    """Looks at changes and tells what is worth it."""

    def __init__(
        self,
        subset: Subset,
        *,
        tell: Callable[[News], None],
        told_by_host: Callable[[str], bool] = lambda host: False,  # noqa: ARG005 - a default that says no
    ) -> None:
        self._subset = subset
        self._tell = tell
        self._told_by_host = told_by_host

    def guest_changed(self, change: Change[Guest]) -> None:
        """Tell of a refusal, of a new trouble, and of an end."""
        old, new = change.old, change.new
        if old is None or new is None or old.metadata.uid != new.metadata.uid:
            return
        if new.status.epoch > old.status.epoch and old.status.host is not None:
            message = self._refusal(old, old.status.host)
            self._tell(News(GUESTS, new.metadata, OrderOutcome.REFUSED, message, is_warning=True))
        for kind in (ConditionType.READY, ConditionType.STALLED):
            before, now = find(old.status.conditions, kind), find(new.status.conditions, kind)
            if now is None or (before is not None and before.reason == now.reason):
                continue
            # What a host said carries the generation that it spoke of.
            is_of_host = kind is ConditionType.READY and now.observed_generation is not None
            if is_of_host and now.reason in NOTABLE and self._is_told(new):
                continue
            is_warning = kind is ConditionType.STALLED or now.reason in _TROUBLE
            if is_warning or now.reason in NOTABLE:
                self._tell(News(GUESTS, new.metadata, now.reason, now.message, is_warning=is_warning))

    def _refusal(self, guest: Guest, host: str) -> str:
        """Return what a host said as it refused a guest: it may be the host that is at fault, or an address."""
        assignment = self._subset.assignment(guest_id_of(guest), host)
        if assignment is None or not is_refused_now(guest, assignment):
            return f"host {host} refused it"
        ready = find(assignment.status.conditions, ConditionType.READY)
        said = (ready.reason, ready.message) if ready is not None else ()
        return ": ".join((f"host {host} refused it", *filter(None, said)))

    def operation_changed(self, change: Change[GuestOperation]) -> None:
        """Tell of the end of an operation, as news of its Guest."""
        old, new = change.old, change.new
        if old is None or new is None or is_over(old) or not is_over(new):
            return
        key = self._subset.guest_keys.get(new.status.guest_id or "")
        guest = self._subset.guests.get(key) if key is not None else None
        if guest is None:
            return
        if new.status.started_at is not None and self._is_told(guest):
            return  # what a host began, it tells itself
        ready = find(new.status.conditions, ConditionType.READY)
        why = f": {ready.reason}: {ready.message}" if ready is not None and ready.status != "True" else ""
        reason = f"{new.spec.operation}{new.status.phase}"
        message = f"GuestOperation {new.metadata.name}{why}"
        is_warning = new.status.phase == OperationPhase.FAILED
        self._tell(News(GUESTS, guest.metadata, reason, message, is_warning=is_warning))

    def _is_told(self, guest: Guest) -> bool:
        return guest.status.host is not None and self._told_by_host(guest.status.host)
