"""The tables' rows as records, and the statements that read and write them. Nothing here begins or ends a transaction."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from innkeeper.agent.store.records import (
    AddressInUse,
    GuestRecord,
    Life,
    LocalPower,
    LocalWish,
    Ready,
    Tombstone,
)
from innkeeper.domain.host_store import KEPT_STEPS, Change, Step
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome

KEPT_CHANGES = 10_000
KEPT_TOMBSTONE_ORDERS = 10_000
PRUNE_EVERY = 500
_MAX_STEP_MESSAGE = 400

_PUT = """INSERT OR REPLACE INTO guests
    (guest_id, "order", epoch, serial, namespace, name, outcome, life, status, reason, message,
     conflict_address, conflict_mac, conflict_interface, accepted_at, wish, wish_by, wish_at, boot, updated)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_GET = """SELECT guest_id, "order", epoch, serial, namespace, name, outcome, life, status, reason, message,
    conflict_address, conflict_mac, conflict_interface, accepted_at, wish, wish_by, wish_at, boot, updated FROM guests"""
_TOMBSTONE = (
    'SELECT guest_id, epoch, serial, "order", namespace, name, forgotten, destroyed_at FROM tombstones'
)


def guests(connection: sqlite3.Connection) -> list[GuestRecord]:
    """Return every guest."""
    return [_record(row)[0] for row in connection.execute(_GET)]


def guest(connection: sqlite3.Connection, guest_id: str) -> tuple[GuestRecord, str] | None:
    """Return a guest and when it was written last."""
    row = connection.execute(f"{_GET} WHERE guest_id = ?", (guest_id,)).fetchone()
    return None if row is None else _record(row)


def put_guest(connection: sqlite3.Connection, record: GuestRecord, *, at: str) -> None:
    """Write a guest; a tombstone of an earlier epoch goes."""
    connection.execute(_PUT, (*_row(record), at))
    connection.execute("DELETE FROM tombstones WHERE guest_id = ?", (record.guest_id,))


def tombstone(connection: sqlite3.Connection, guest_id: str) -> tuple[Tombstone, str] | None:
    """Return a tombstone and when the guest was destroyed."""
    row = connection.execute(f"{_TOMBSTONE} WHERE guest_id = ?", (guest_id,)).fetchone()
    if row is None:
        return None
    epoch, serial, order, namespace, name, forgotten, destroyed_at = row[1:]
    return Tombstone(guest_id, Rank(epoch, serial), order, namespace, name, forgotten), destroyed_at


def put_tombstone(connection: sqlite3.Connection, buried: Tombstone, *, at: str) -> None:
    """Put a tombstone in a guest's place; its history ends here.

    Tombstones stay for ever: the rank is what wins over an order that a restored API server brings back, however late.
    The signed orders of those that lie far back go, since they are the bulk of it.
    """
    connection.execute("DELETE FROM guests WHERE guest_id = ?", (buried.guest_id,))
    connection.execute("DELETE FROM history WHERE guest_id = ?", (buried.guest_id,))
    # A row that is replaced gets a new rowid: rows lie in the order in which guests were destroyed.
    cursor = connection.execute(
        """INSERT OR REPLACE INTO tombstones
           (guest_id, epoch, serial, destroyed_at, "order", namespace, name, forgotten)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (buried.guest_id, *buried.rank, at, buried.order, buried.namespace, buried.name, buried.forgotten),
    )
    last = cursor.lastrowid or 0
    if last % PRUNE_EVERY == 0:
        connection.execute(
            'UPDATE tombstones SET "order" = NULL WHERE rowid <= ? AND "order" IS NOT NULL',
            (last - KEPT_TOMBSTONE_ORDERS,),
        )


def history(connection: sqlite3.Connection, guest_id: str) -> list[Step]:
    """Return the steps of a guest, the oldest first."""
    query = "SELECT at, reason, message, step FROM history WHERE guest_id = ? ORDER BY step"
    rows = connection.execute(query, (guest_id,))
    return [
        Step(at=at, reason=reason, message=message, number=number) for at, reason, message, number in rows
    ]


def add_steps(connection: sqlite3.Connection, guest_id: str, steps: Iterable[Step]) -> None:
    """Add steps to a guest's history; the oldest beyond a number go."""
    added = [(guest_id, each.at, each.reason, each.message[:_MAX_STEP_MESSAGE]) for each in steps]
    if not added:
        return
    connection.executemany("INSERT INTO history (guest_id, at, reason, message) VALUES (?, ?, ?, ?)", added)
    connection.execute(
        """DELETE FROM history WHERE guest_id = ? AND step <=
           (SELECT step FROM history WHERE guest_id = ? ORDER BY step DESC LIMIT 1 OFFSET ?)""",
        (guest_id, guest_id, KEPT_STEPS),
    )


def log(connection: sqlite3.Connection, guest_id: str, what: str, *, at: str) -> None:
    """Add a line to the change log; the oldest beyond a number go."""
    cursor = connection.execute(
        "INSERT INTO changes (guest_id, what, at) VALUES (?, ?, ?)", (guest_id, what, at)
    )
    last = cursor.lastrowid or 0
    if last % PRUNE_EVERY == 0:
        connection.execute("DELETE FROM changes WHERE seq <= ?", (last - KEPT_CHANGES,))


def changes(connection: sqlite3.Connection, *, after: int, limit: int) -> list[Change]:
    """Return the lines of the change log behind a sequence number, the oldest first."""
    query = "SELECT seq, guest_id, what, at FROM changes WHERE seq > ? ORDER BY seq LIMIT ?"
    rows = connection.execute(query, (after, limit))
    return [Change(seq=seq, guest_id=guest_id, what=what, at=at) for seq, guest_id, what, at in rows]


def log_end(connection: sqlite3.Connection) -> int:
    """Return the number of the last line that was ever written; 0 where there was none."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    return 0 if row is None else int(row[0])


def log_start(connection: sqlite3.Connection) -> int:
    """Return the number of the oldest line that is kept; where there is none, that of the next one."""
    (oldest,) = connection.execute("SELECT MIN(seq) FROM changes").fetchone()
    return log_end(connection) + 1 if oldest is None else int(oldest)


def meta(connection: sqlite3.Connection, key: str) -> str | None:
    """Return one setting that was kept."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def _row(record: GuestRecord) -> tuple[str | int | None, ...]:
    ready, conflict, wish = record.ready, record.conflict, record.wish
    return (
        record.guest_id,
        record.order,
        *record.rank,
        record.namespace,
        record.name,
        record.outcome,
        record.life,
        str(ready.status),
        ready.reason,
        ready.message,
        *((conflict.address, conflict.mac, conflict.interface) if conflict else (None, None, None)),
        record.accepted_at,
        *((wish.power, wish.by, wish.at) if wish else (None, None, None)),
        record.boot,
    )


def _record(row: Sequence[Any]) -> tuple[GuestRecord, str]:
    guest_id, order, epoch, serial, namespace, name, outcome, life, status, reason, message = row[:11]
    address, mac, interface, accepted_at, power, wished_by, wished_at, boot, updated = row[11:]
    record = GuestRecord(
        guest_id=guest_id,
        order=order,
        rank=Rank(epoch, serial),
        namespace=namespace,
        name=name,
        outcome=OrderOutcome(outcome),
        life=Life(life),
        ready=Ready(status == str(True), reason, message),
        conflict=None if address is None else AddressInUse(address, mac, interface),
        accepted_at=accepted_at,
        wish=None if power is None else LocalWish(LocalPower(power), wished_by, wished_at),
        boot=boot,
    )
    return record, updated
