"""Sees every write to the API server and everything that machines do, and says what must never happen.

It shares no code with the product. What it says once stays said: a history with a complaint has failed.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable

from innkeeper.domain import names
from tests.kit.fake_api_kinds import Document
from tests.kit.fake_api_store import Event
from tests.kit.history.operated import Operated

Say = Callable[[str], None]
UNDER_WAY_S = 1.0  # a start that a stop meets half way comes to its end first


def guest_id_of(guest: Document) -> str:
    """Return the Guest ID of a document."""
    found: str = guest["metadata"].get("annotations", {}).get(names.ID_ANNOTATION) or guest["metadata"]["uid"]
    return found


class Witness:
    """What is true of machines and addresses, and what of it is wrong."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.complaints: list[str] = []
        self.alive: defaultdict[str, set[str]] = defaultdict(set)  # hosts on which a guest's machine lives
        self.asked_to_go: set[str] = set()  # guests whose object somebody deleted
        self.destroyed: set[str] = set()
        self.lost_hosts: set[str] = set()
        self.may_be_off: set[str] = (
            set()
        )  # guests that a person at their host stopped, and none started there since
        # Of these, those whose power nobody changed since; with the loop's seconds of the stop.
        self.must_be_off: dict[str, float] = {}
        self.forgotten: set[str] = set()  # guests that a person took off their host
        self.bound: dict[str, tuple[str, frozenset[str]]] = {}  # host and addresses of each Guest that exists
        self.used: dict[str, frozenset[str]] = {}  # the addresses that a machine was last bound to
        self.operated = Operated(self.complain)

    def complain(self, what: str) -> None:
        """Say that something happened that must not."""
        self._say(f"VIOLATION {what}")
        self.complaints.append(what)

    # Machines

    def starts(self, guest_id: str, host: str) -> None:
        """A host starts a machine."""
        if self.alive[guest_id]:
            self.complain(f"{guest_id} starts on {host} while it lives on {sorted(self.alive[guest_id])}")
        if guest_id in self.destroyed:
            self.complain(f"{guest_id} starts on {host} after it was destroyed")
        if asyncio.get_running_loop().time() > self.must_be_off.get(guest_id, math.inf) + UNDER_WAY_S:
            self.complain(f"{guest_id} starts on {host}, where a person stopped it")
        self.alive[guest_id].add(host)
        self._check_addresses(guest_id)

    def ends(self, guest_id: str, host: str) -> None:
        """A machine is off, by whatever cause."""
        self.alive[guest_id].discard(host)
        self.operated.ended(guest_id)

    def removes(self, guest_id: str, host: str) -> None:
        """A host destroys a machine."""
        self.alive[guest_id].discard(host)
        if guest_id not in self.asked_to_go | self.forgotten:
            self.complain(f"{host} destroys {guest_id}, whose Guest nobody deleted")
        self.destroyed.add(guest_id)

    # The API server

    def happened(self, event: Event) -> None:
        """Look at one write."""
        if event.kind.plural == "guests":
            self._guest(event)
        elif event.kind.plural == "ipaddresses":
            self._address(event)
        elif event.kind.plural == "guestoperations":
            self.operated.operation_written(event)

    def put_back(self, guests: list[Document]) -> None:
        """The API server's store is an older copy with these Guests; what machines do goes on from now."""
        self.bound.clear()
        self.must_be_off.clear()
        self.operated.put_back()
        for guest in guests:
            status, guest_id = guest.get("status", {}), guest_id_of(guest)
            if status.get("host") is not None and guest_id not in self.destroyed:
                addresses = frozenset(each["address"] for each in status.get("addresses", []))
                self.bound[guest_id] = (status["host"], addresses)

    def _guest(self, event: Event) -> None:
        guest, guest_id = event.document, guest_id_of(event.document)
        self.operated.guest_written(guest_id, event)
        if event.before is not None and event.before["spec"]["power"] != guest["spec"]["power"]:
            self.must_be_off.pop(guest_id, None)
        if event.type == "DELETED" or "deletionTimestamp" in guest["metadata"]:
            self.asked_to_go.add(guest_id)
        if event.type == "DELETED":
            self.bound.pop(guest_id, None)
            return
        status = guest.get("status", {})
        before = self.bound.get(guest_id)
        if status.get("host") is None:
            self.bound.pop(guest_id, None)
            return
        self.bound[guest_id] = (
            status["host"],
            frozenset(each["address"] for each in status.get("addresses", [])),
        )
        if self.bound[guest_id] != before:
            self.used[guest_id] = self.bound[guest_id][1]
            self._check_addresses(guest_id)

    def _address(self, event: Event) -> None:
        if event.type != "MODIFIED" or event.before is None:
            return
        old, new = event.before["spec"].get("owner"), event.document["spec"].get("owner")
        if old and new and old["id"] != new["id"]:
            self.complain(
                f"{event.document['metadata']['name']} passes from {old['id']} to {new['id']} at once"
            )

    def _check_addresses(self, guest_id: str) -> None:
        """No address is used by two: guests that are bound, and machines that live."""
        mine = self._used_by(guest_id)
        for other in {*self.bound, *(each for each, hosts in self.alive.items() if hosts)} - {guest_id}:
            for address in sorted(mine & self._used_by(other)):
                self.complain(f"{address} is used by {guest_id} and by {other}")

    def _used_by(self, guest_id: str) -> frozenset[str]:
        if self.alive[guest_id]:
            return self.used.get(guest_id, frozenset())
        host, addresses = self.bound.get(guest_id, ("", frozenset()))
        return frozenset() if host in self.lost_hosts else addresses
