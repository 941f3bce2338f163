"""What a reader is told of the store: pages of all that it holds, and what changed since a cursor.

It reads inside one transaction of its caller and changes nothing. An answer ends early where it grows large; the reader
asks for the rest.
"""

import sqlite3

import msgspec

from innkeeper.agent.store import rows
from innkeeper.domain.host_store import (
    GAP,
    PAGE,
    Change,
    Events,
    GuestEntry,
    Snapshot,
    TombstoneEntry,
    WishEntry,
)
from innkeeper.errors import TerminalError
from innkeeper.views.host import HostAgentSpec

HOST_SETTINGS = "host_agent_spec"  # the setting that holds the host's own orders as they were seen last
# Of the texts of one answer; as JSON in UTF-8 they stay far below MAX_ANSWER_BYTES.
MAX_CHARACTERS = 2 * 1024**2

_IDS = """SELECT guest_id FROM guests WHERE guest_id > ?1
    UNION ALL SELECT guest_id FROM tombstones WHERE guest_id > ?1
    ORDER BY guest_id LIMIT ?2"""


class LogGapError(TerminalError):
    """The change log does not reach back, or forward, to that place."""

    reason = GAP


def snapshot(connection: sqlite3.Connection, *, after: str | None = None, limit: int = PAGE) -> Snapshot:
    """Return one page of all that the store holds: the Guest IDs behind `after`."""
    found = [row[0] for row in connection.execute(_IDS, (after or "", limit + 1))]
    page = _Page()
    for guest_id in found[:limit]:
        if page.is_full:
            break
        page.add(connection, guest_id)
    host, store_id = owner(connection)
    return Snapshot(
        host=host,
        store_id=store_id,
        seq=rows.log_end(connection),
        settings=settings(connection),
        guests=page.guests,
        tombstones=page.tombstones,
        next_after=next(reversed(page.ids)) if len(page.ids) < len(found) else None,
    )


def events(connection: sqlite3.Connection, *, store_id: str, since: int, limit: int = PAGE) -> Events:
    """Return what changed since a cursor.

    Raises:
        LogGapError: the store is another one, or the log does not reach to that place.
    """
    host, own_id = owner(connection)
    start, end = rows.log_start(connection), rows.log_end(connection)
    if store_id != own_id:
        raise LogGapError(f"this is the store {own_id}, not {store_id[:63]}: read a snapshot")
    if not start - 1 <= since <= end:
        raise LogGapError(
            f"the log has the lines {start} to {end}, not what follows {since}: read a snapshot"
        )
    page, told = _Page(), list[Change]()
    for line in rows.changes(connection, after=since, limit=limit):
        if page.is_full:
            break
        page.add(connection, line.guest_id)
        told.append(line)
    last = told[-1].seq if told else since
    return Events(
        host=host,
        store_id=own_id,
        since=since,
        seq=last,
        has_more=last < end,
        changes=told,
        guests=page.guests,
        tombstones=page.tombstones,
    )


def owner(connection: sqlite3.Connection) -> tuple[str, str]:
    """Return the host's name and the store's ID."""
    return rows.meta(connection, "host") or "", rows.meta(connection, "store_id") or ""


def settings(connection: sqlite3.Connection) -> HostAgentSpec | None:
    """Return the host's own orders as they were seen last, if they ever were."""
    text = rows.meta(connection, HOST_SETTINGS)
    return None if text is None else msgspec.json.decode(text, type=HostAgentSpec)


class _Page:
    """The entries of one answer, each once, and how large they are."""

    def __init__(self) -> None:
        self.ids: dict[str, None] = {}  # in the order in which they were told
        self.guests: list[GuestEntry] = []
        self.tombstones: list[TombstoneEntry] = []
        self._characters = 0

    @property
    def is_full(self) -> bool:
        return self._characters >= MAX_CHARACTERS

    def add(self, connection: sqlite3.Connection, guest_id: str) -> None:
        if guest_id in self.ids:
            return
        self.ids[guest_id] = None
        if (guest := _guest(connection, guest_id)) is not None:
            self.guests.append(guest)
            self._characters += len(guest.order) + len(guest.message)
            self._characters += sum(len(step.message) for step in guest.history)
        elif (tombstone := _tombstone(connection, guest_id)) is not None:
            self.tombstones.append(tombstone)
            self._characters += len(tombstone.order or "")


def _guest(connection: sqlite3.Connection, guest_id: str) -> GuestEntry | None:
    found = rows.guest(connection, guest_id)
    if found is None:
        return None
    record, changed_at = found
    wish = record.wish
    return GuestEntry(
        guest_id=guest_id,
        order=record.order,
        outcome=record.outcome,
        life=record.life,
        ready=record.ready.status,
        reason=record.ready.reason,
        message=record.ready.message,
        changed_at=changed_at,
        accepted_at=record.accepted_at,
        history=rows.history(connection, guest_id),
        wish=None if wish is None else WishEntry(power=wish.power, by=wish.by, at=wish.at),
    )


def _tombstone(connection: sqlite3.Connection, guest_id: str) -> TombstoneEntry | None:
    found = rows.tombstone(connection, guest_id)
    if found is None:
        return None
    tombstone, destroyed_at = found
    return TombstoneEntry(
        guest_id=guest_id,
        epoch=tombstone.rank.epoch,
        serial=tombstone.rank.serial,
        destroyed_at=destroyed_at,
        order=tombstone.order,
        forgotten=tombstone.forgotten,
    )
