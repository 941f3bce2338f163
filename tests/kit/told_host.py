"""A host's agent as who reads it sees it: a store with a change log, pages, gaps, and failures when a test wants them."""

import msgspec

from innkeeper.domain.host_store import KEPT_STEPS, Change, Events, GuestEntry, Snapshot, Step, TombstoneEntry
from innkeeper.domain.orders import Order, Signer
from innkeeper.hosts.ports import GapError, HostUnreadError
from tests.kit.agent_orders import HOST, SIGNER, STORE, order
from tests.kit.objects import NOW

Entry = GuestEntry | TombstoneEntry


class ToldHost:
    """One store. `is_away` makes every question fail; the log keeps what came after `kept_from`."""

    def __init__(self, name: str = HOST, *, store_id: str = STORE, page: int = 2) -> None:
        self.name = name
        self.store_id = store_id
        self.page = page
        self.is_away = False
        self.kept_from = 0
        self.asked: list[str] = []
        self.entries: dict[str, Entry] = {}
        self.log: list[Change] = []
        self.steps = 0

    def hold(
        self, number: int, *, signer: Signer = SIGNER, outcome: str = "Accepted", **changes: object
    ) -> Order:
        """Have a guest held by a new order."""
        made = order(number, **{"host": self.name, **changes})
        self.put(made.guest_id, signer.sign(made), outcome)
        return made

    def put(self, guest_id: str, text: str, outcome: str = "Accepted") -> None:
        """Have a guest held by an order as it is."""
        self.entries[guest_id] = GuestEntry(
            guest_id=guest_id, order=text, outcome=outcome, life="Up", ready=True, reason="Running"
        )
        self._note(guest_id)

    def happen(self, guest_id: str, *steps: tuple[str, str] | tuple[str, str, str]) -> None:
        """Have steps added to a guest's history: each a time and a reason, perhaps with a message."""
        entry = self.entries[guest_id]
        assert isinstance(entry, GuestEntry)
        added = [
            Step(at=at, reason=reason, message="".join(message), number=self.steps + number)
            for number, (at, reason, *message) in enumerate(steps, start=1)
        ]
        self.steps += len(added)
        self.entries[guest_id] = msgspec.structs.replace(
            entry, history=[*entry.history, *added][-KEPT_STEPS:], reason=added[-1].reason
        )
        self._note(guest_id)

    def destroy(self, guest_id: str, *, epoch: int = 1, serial: int = 2) -> None:
        """Keep a tombstone."""
        self.entries[guest_id] = TombstoneEntry(
            guest_id=guest_id, epoch=epoch, serial=serial, destroyed_at=NOW
        )
        self._note(guest_id)

    def drop(self, guest_id: str) -> None:
        """Keep nothing of a guest, not even a tombstone."""
        del self.entries[guest_id]
        self._note(guest_id)

    def _note(self, guest_id: str) -> None:
        self.log.append(Change(seq=len(self.log) + 1, guest_id=guest_id, what="x", at=NOW))

    async def snapshot(self, *, after: str | None = None) -> Snapshot:
        """Return a page, by Guest ID."""
        self._asked("snapshot")
        left = [each for each in sorted(self.entries) if after is None or each > after]
        page = left[: self.page]
        guests, tombstones = self._entries(page)
        return Snapshot(
            host=self.name,
            store_id=self.store_id,
            seq=len(self.log),
            guests=guests,
            tombstones=tombstones,
            next_after=page[-1] if len(left) > self.page else None,
        )

    async def events(self, *, store_id: str, since: int) -> Events:
        """Return what changed since a place, a page of it."""
        self._asked("events")
        if store_id != self.store_id or not self.kept_from <= since <= len(self.log):
            raise GapError("the log does not reach back there")
        changes = self.log[since : since + self.page]
        guests, tombstones = self._entries({each.guest_id for each in changes})
        return Events(
            host=self.name,
            store_id=self.store_id,
            since=since,
            seq=since + len(changes),
            has_more=since + len(changes) < len(self.log),
            changes=changes,
            guests=guests,
            tombstones=tombstones,
        )

    def _entries(self, names: list[str] | set[str]) -> tuple[list[GuestEntry], list[TombstoneEntry]]:
        found = [self.entries[each] for each in names if each in self.entries]
        guests = [each for each in found if isinstance(each, GuestEntry)]
        return guests, [each for each in found if isinstance(each, TombstoneEntry)]

    def _asked(self, what: str) -> None:
        self.asked.append(what)
        if self.is_away:
            raise HostUnreadError(f"host {self.name} does not answer")
