"""The table of operations: what this host did to its guests once, so that it never does the same again."""

import sqlite3
from dataclasses import astuple, dataclass

from innkeeper.domain.host_store import Step
from innkeeper.domain.reasons import OperationPhase

TABLE = """CREATE TABLE operations (
    guest_id TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    phase TEXT NOT NULL,
    instance TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    reason TEXT,
    message TEXT,
    PRIMARY KEY (guest_id, id)
) STRICT"""
# An API server that was put back to an older copy may ask for any of them again.
KEPT_OF_A_GUEST = 256
_LONGEST_REASON = 128

_COLUMNS = "guest_id, id, kind, phase, instance, started_at, finished_at, reason, message"
_PRUNE = """DELETE FROM operations WHERE guest_id = ?1 AND rowid NOT IN
    (SELECT rowid FROM operations WHERE guest_id = ?1 ORDER BY rowid DESC LIMIT ?2)"""


@dataclass(frozen=True)
class OperationRecord:
    """One operation that was begun. `instance` is the run of the machine that it is for, until that one has ended."""

    guest_id: str
    id: str
    kind: str
    phase: OperationPhase
    instance: str
    started_at: str
    finished_at: str | None = None
    reason: str | None = None
    message: str | None = None


def read(connection: sqlite3.Connection) -> list[OperationRecord]:
    """Return every operation that is kept, the older first."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM operations ORDER BY rowid")  # noqa: S608 - a constant
    return [
        OperationRecord(guest_id, id_, kind, OperationPhase(phase), *rest)
        for guest_id, id_, kind, phase, *rest in found
    ]


def put(connection: sqlite3.Connection, record: OperationRecord) -> None:
    """Keep an operation; of each guest only the newest ones stay."""
    connection.execute(
        f"INSERT INTO operations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608 - constants
        "ON CONFLICT (guest_id, id) DO UPDATE SET phase = excluded.phase, instance = excluded.instance, "
        "finished_at = excluded.finished_at, reason = excluded.reason, message = excluded.message",
        astuple(record),
    )
    connection.execute(_PRUNE, (record.guest_id, KEPT_OF_A_GUEST))


def end_of(record: OperationRecord) -> Step | None:
    """Return the step of its guest's history that an operation's end is, or None where it is not over."""
    if not record.phase.is_final:
        return None
    why = f": {record.reason}: {record.message or ''}".rstrip(": ") if record.reason else ""
    reason = f"{record.kind}{record.phase}"[:_LONGEST_REASON]
    return Step(at=record.finished_at or record.started_at, reason=reason, message=f"{record.id}{why}")


def forget(connection: sqlite3.Connection, guest_id: str) -> None:
    """Drop the operations of a guest that is destroyed."""
    connection.execute("DELETE FROM operations WHERE guest_id = ?", (guest_id,))
