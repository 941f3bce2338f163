"""A host that does at once what its orders say: the agent's own judgement, with memory in place of store and machine.

It looks at its Assignments whenever it is told to, which `GuestScene` does after each write. It never writes anything
but the status of Assignments, as a real agent.
"""

from typing import Any

from innkeeper.agent import refusals
from innkeeper.agent.judge import Meaning, meaning, read_order
from innkeeper.agent.store.records import GuestRecord, Life, Ready, Tombstone
from innkeeper.domain import names
from innkeeper.domain.orders import Order, OrderInvalidError, Rank, Signer, peek
from innkeeper.domain.reasons import Desired, OrderOutcome
from innkeeper.kube.resources import ASSIGNMENTS
from innkeeper.views.assignment import Assignment
from tests.kit.fake_api import FakeApi
from tests.kit.objects import NOW, view


class ObedientHost:
    """One host. `hears` is off while it is silent; `refuses` is the reason with which it refuses new guests."""

    def __init__(self, api: FakeApi, name: str, *, store_id: str, signer: Signer) -> None:
        self.name = name
        self.store_id = store_id
        self.hears = True
        self.refuses: str | None = None
        self.says = ""  # the message of each report
        self.conflict: str | None = None  # the address that it finds in use
        self.conflict_mac = "02:00:00:00:00:99"  # who answers for it
        self.conflict_interface: str | None = (
            None  # whose address it is; None: as an earlier agent, it does not say
        )
        self.room: int | None = None  # how many guests it may have; None: any number
        self.records: dict[str, GuestRecord] = {}
        self.tombstones: dict[str, Tombstone] = {}
        self.destroyed: list[str] = []
        self.destroys = True  # off: it takes orders to destroy, and does not get to it
        self.operates = True  # off: it begins an operation and does not end it
        self.done: list[tuple[str, str]] = []  # kind and ID of each operation, in the order of their doing
        self._operations: dict[str, dict[str, Any]] = {}  # what is told, by ID
        self._api = api
        self._keys = {signer.key_id: signer.public_key}

    def trust(self, signer: Signer) -> None:
        """Obey another key from now on."""
        self._keys[signer.key_id] = signer.public_key

    @property
    def running(self) -> dict[str, Order]:
        """The orders of the guests that are here, by Guest ID."""
        return {
            guest_id: peek(record.order)
            for guest_id, record in self.records.items()
            if record.outcome == OrderOutcome.ACCEPTED and peek(record.order).desired != Desired.SUPERSEDED
        }

    def look(self) -> None:
        """Obey every order, and say so."""
        if not self.hears:
            return
        for record in list(self.records.values()) if self.destroys else ():
            if peek(record.order).desired == Desired.DESTROYED:
                self._destroy(record.guest_id, record.rank, record.order)
        for document in self._api.objects(ASSIGNMENTS, namespace=names.host_namespace(self.name)):
            self._obey(view(document, Assignment))

    def _obey(self, assignment: Assignment) -> None:
        guest_id, text = assignment.metadata.name, assignment.spec.order
        try:
            order = read_order(
                text, keys=self._keys, host=self.name, store_id=self.store_id, guest_id=guest_id
            )
        except OrderInvalidError as error:
            record = self.records.get(guest_id)
            held = record.rank if record else None
            self._say(assignment, OrderOutcome.INVALID, status="False", reason=error.reason, held=held)
            return
        found = meaning(order, self.records.get(guest_id), self.tombstones.get(guest_id))
        if found is Meaning.DESTROY and self.destroys:
            self._destroy(guest_id, order.rank, text)
        elif found is Meaning.DESTROY:
            self._keep(order, text, OrderOutcome.ACCEPTED)
        elif found is Meaning.ADMIT:
            reason = self.refuses or self._lacks_room(order)
            outcome = OrderOutcome.REFUSED if reason else OrderOutcome.ACCEPTED
            self._keep(order, text, outcome, reason=reason)
        elif found is Meaning.UPDATE:
            self._keep(order, text, OrderOutcome.ACCEPTED)
        elif found is Meaning.REFUSED_BEFORE:
            self._keep(order, text, OrderOutcome.REFUSED, reason=self.records[guest_id].ready.reason)
        self._report(assignment, found)

    def _destroy(self, guest_id: str, rank: Rank, text: str) -> None:
        self.destroyed.append(guest_id)
        self.records.pop(guest_id, None)
        self.tombstones[guest_id] = Tombstone(guest_id, rank, text)

    def forget(self, guest_id: str, *, by: str) -> None:
        """Take a guest off, as a person at the host does."""
        record = self.records.pop(guest_id)
        self.tombstones[guest_id] = Tombstone(guest_id, record.rank, forgotten=by)
        self.look()

    def _lacks_room(self, order: Order) -> str | None:
        others = self.running.keys() - {order.guest_id}
        return "InsufficientCapacity" if self.room is not None and len(others) >= self.room else None

    def _keep(self, order: Order, text: str, outcome: OrderOutcome, *, reason: str | None = None) -> None:
        is_refused = outcome == OrderOutcome.REFUSED
        if not is_refused:
            self._operate(order)
        self.records[order.guest_id] = GuestRecord(
            guest_id=order.guest_id,
            order=refusals.text_of(order) if is_refused else text,
            rank=order.rank,
            namespace=order.namespace,
            name=order.name,
            outcome=outcome,
            life=Life.UP,
            ready=Ready(
                order.desired != Desired.SUPERSEDED and not is_refused,
                reason if is_refused and reason else order.desired,
            ),
        )

    def _operate(self, order: Order) -> None:
        """Begin an operation that is new, as an agent's store knows."""
        wanted = order.operation
        if wanted is not None and wanted.id not in self._operations:
            self.done.append((wanted.kind, wanted.id))
            self._operations[wanted.id] = {"id": wanted.id, "phase": "Running", "startedAt": NOW}
            if self.operates:
                self.finish(wanted.id)

    def finish(self, uid: str, **failure: str) -> None:
        """End an operation; `failure` is the reason and the message, where it failed."""
        phase = "Failed" if failure else "Succeeded"
        self._operations[uid] |= {"phase": phase, "finishedAt": NOW, **failure}

    def _told_operation(self, guest_id: str) -> dict[str, Any] | None:
        record = self.records.get(guest_id)
        wanted = peek(record.order).operation if record is not None else None
        found = self._operations.get(wanted.id) if wanted is not None else None
        blank = dict.fromkeys(("startedAt", "finishedAt", "reason", "message"))
        return None if found is None else {**blank, **found}

    def _told_conflict(self) -> dict[str, Any] | None:
        if self.conflict is None:
            return None
        told = {"address": self.conflict, "mac": self.conflict_mac}
        return told if self.conflict_interface is None else {**told, "interface": self.conflict_interface}

    def _report(self, assignment: Assignment, found: Meaning) -> None:
        guest_id = assignment.metadata.name
        record, tombstone = self.records.get(guest_id), self.tombstones.get(guest_id)
        if found is Meaning.SUPERSEDED and record is not None:
            self._say(
                assignment,
                OrderOutcome.SUPERSEDED,
                status="True",
                reason=record.ready.reason,
                held=record.rank,
            )
        elif record is not None:
            status = "True" if record.ready.status else "False"
            self._say(assignment, record.outcome, status=status, reason=record.ready.reason, held=record.rank)
        elif tombstone is not None:
            reason = "ForgottenAtHost" if tombstone.forgotten else "Destroyed"
            self._say(assignment, OrderOutcome.DESTROYED, status="False", reason=reason, held=tombstone.rank)

    def _say(
        self,
        assignment: Assignment,
        outcome: OrderOutcome,
        *,
        status: str,
        reason: str,
        held: Rank | None = None,
    ) -> None:
        metadata = assignment.metadata
        said: dict[str, Any] = {
            "observedGeneration": metadata.generation,
            "outcome": str(outcome),
            "held": {"epoch": held.epoch, "serial": held.serial} if held else None,
            "operation": self._told_operation(metadata.name),
            "conflict": self._told_conflict(),
            "conditions": [
                {
                    "type": "Ready",
                    "status": status,
                    "reason": reason,
                    "message": self.says,
                    "lastTransitionTime": NOW,
                    "observedGeneration": metadata.generation,
                }
            ],
        }
        self._api.patch(
            ASSIGNMENTS, metadata.name, {"status": said}, namespace=metadata.namespace, subresource="status"
        )
