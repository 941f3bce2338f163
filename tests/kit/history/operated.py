"""What was asked of guests once, what their machines did, and whether the two can go together.

It counts: a machine is stopped, paused or let go on by its agent no oftener than somebody asked for it. What an operation
says of its end is final, has its reason, and is true of the machine. None is given up before its time, whatever a clock
says.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable

from innkeeper.domain.reasons import OperationKind, OperationPhase
from tests.kit.fake_api_kinds import Document
from tests.kit.fake_api_store import Event

Complain = Callable[[str], None]

PATIENCE_S = {"GuestNotFound": 10.0, "GuestNotRunning": 600.0}  # as docs/how-to/operate-guests.md has it
_AT_HOST = "StopAtHost"
REBOOTS = frozenset({OperationKind.REBOOT, OperationKind.HARD_REBOOT})


class Operated:
    """One history's operations. `complain` is the witness's."""

    def __init__(self, complain: Complain) -> None:
        self._complain = complain
        self._asked: defaultdict[str, Counter[str]] = defaultdict(Counter)  # Guest ID -> how often each kind
        self._off: set[str] = set()  # guests that are to be off, or were and nobody saw them off yet
        self._did: defaultdict[str, Counter[str]] = defaultdict(Counter)  # Guest ID -> what its machine did
        self._began: dict[str, Counter[str]] = {}  # uid -> what the machine had done when its guest was known
        self._made: dict[str, float] = {}  # uid -> when it was created, in the loop's seconds
        self._ends: dict[str, tuple[str, str]] = {}  # uid -> phase and reason

    # Machines

    def stopped(self, guest_id: str, host: str) -> None:
        """An agent turned a machine off that lived: for one of its guest's reboots, where nothing else wants it off."""
        if guest_id not in self._off:
            self._count(guest_id, "rebooted", host, most=self._may(guest_id, *REBOOTS, _AT_HOST))

    def is_stopped_at_host(self, guest_id: str) -> None:
        """A person at its host stops a guest: one more time that its machine may be turned off."""
        self._asked[guest_id][_AT_HOST] += 1

    def was_not_stopped_at_host(self, guest_id: str) -> None:
        """The host did not do it."""
        self._asked[guest_id][_AT_HOST] -= 1

    def may_be_done_again(self, guest_id: str) -> None:
        """Its host forgot what it did: what its order still carries may be done once more."""
        for kind in list(self._asked[guest_id]):
            self._asked[guest_id][kind] += 1

    def paused(self, guest_id: str, host: str) -> None:
        """A machine that ran stands still."""
        self._count(guest_id, "paused", host, most=self._may(guest_id, OperationKind.PAUSE))

    def resumed(self, guest_id: str, host: str) -> None:
        """A machine that stood still goes on."""
        self._count(guest_id, "resumed", host, most=self._may(guest_id, OperationKind.RESUME))

    def ended(self, guest_id: str) -> None:
        """A machine is off, by whatever cause."""
        self._did[guest_id]["ended"] += 1

    def may_be_paused(self, guest_id: str) -> bool:
        """Tell whether somebody asked for a guest to stand still."""
        return self._may(guest_id, OperationKind.PAUSE) > 0

    def _may(self, guest_id: str, *kinds: str) -> int:
        return sum(self._asked[guest_id][kind] for kind in kinds)

    def _count(self, guest_id: str, what: str, host: str, *, most: int) -> None:
        self._did[guest_id][what] += 1
        if self._did[guest_id][what] > most:
            self._complain(
                f"{guest_id} is {what} on {host} oftener than the {most} times that it was asked for"
            )

    # The API server

    def guest_written(self, guest_id: str, event: Event) -> None:
        """Look at what turns a guest off beside an operation: its power, and its deletion."""
        guest = event.document
        is_leaving = "deletionTimestamp" in guest["metadata"] or event.type == "DELETED"
        if guest["spec"]["power"] == "Stopped" or is_leaving:
            self._off.add(guest_id)
        elif _says_it_runs(guest):
            self._off.discard(guest_id)

    def operation_written(self, event: Event) -> None:
        """Look at a GuestOperation: who is meant, and how it ends."""
        operation = event.document
        status, uid = operation.get("status", {}), operation["metadata"]["uid"]
        guest_id = status.get("guestId")
        self._made.setdefault(uid, asyncio.get_running_loop().time())
        if guest_id and uid not in self._began:
            self._asked[guest_id][operation["spec"]["operation"]] += 1
            self._began[uid] = Counter(self._did[guest_id])
        if event.type == "DELETED" or not OperationPhase(status.get("phase") or "Pending").is_final:
            if uid in self._ends and event.type != "DELETED":
                self._complain(f"{operation['metadata']['name']} goes on after its end: {status}")
            return
        end = (status["phase"], status["conditions"][0]["reason"])
        if self._ends.setdefault(uid, end) != end:
            self._complain(f"{operation['metadata']['name']} ends twice: {self._ends[uid]}, then {end}")
        self._check(operation, guest_id)

    def put_back(self) -> None:
        """The API server's store is an older copy: how operations end is told once more."""
        self._ends.clear()

    def _check(self, operation: Document, guest_id: str | None) -> None:
        """An end has its reason; a success is true of the machine."""
        name, status = operation["metadata"]["name"], operation["status"]
        condition = status["conditions"][0]
        if status["phase"] == OperationPhase.FAILED:
            if not condition["reason"] or not condition["message"]:
                self._complain(f"{name} failed and does not say why: {condition}")
            self._check_patience(operation)
        elif operation["spec"]["operation"] in REBOOTS and guest_id is not None:
            did, before = self._did[guest_id], self._began[operation["metadata"]["uid"]]
            if did["ended"] == before["ended"]:
                self._complain(f"{name} says that it rebooted {guest_id}, whose machine never ended")

    def _check_patience(self, operation: Document) -> None:
        """What no host was asked for is given up after a while only."""
        metadata, status = operation["metadata"], operation["status"]
        if "Ordered" in {each["name"] for each in status.get("steps", [])}:
            return
        reason = status["conditions"][0]["reason"]
        waited_s = asyncio.get_running_loop().time() - self._made[metadata["uid"]]
        if waited_s < PATIENCE_S.get(reason, 0.0):
            self._complain(f"{metadata['name']} is given up after {waited_s:.1f} s: {reason}")


def _says_it_runs(guest: Document) -> bool:
    """Tell whether a guest was seen to run by its newest generation: no older order to stop it is on its way."""
    ready = next(
        (each for each in guest.get("status", {}).get("conditions", []) if each["type"] == "Ready"), None
    )
    generation = guest["metadata"]["generation"]
    return ready is not None and ready["reason"] == "Running" and ready["observedGeneration"] == generation
