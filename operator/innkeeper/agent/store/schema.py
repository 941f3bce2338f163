"""The database's tables, and the steps from each version to the next.

A step runs in one transaction with the new `user_version`, so a kill leaves the old version or the new one. A database
from a later version is refused, never guessed at. A step is never edited: hosts have taken it. What it made is written
down under `tests/fixtures/host_store`.
"""

import sqlite3

from innkeeper.agent.store import operations
from innkeeper.errors import TerminalError

STEPS = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        """CREATE TABLE guests (
            guest_id TEXT PRIMARY KEY,
            "order" TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            serial INTEGER NOT NULL,
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            outcome TEXT NOT NULL,
            life TEXT NOT NULL,
            status TEXT NOT NULL,
            reason TEXT NOT NULL,
            message TEXT NOT NULL,
            updated TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE tombstones (
            guest_id TEXT PRIMARY KEY,
            epoch INTEGER NOT NULL,
            serial INTEGER NOT NULL,
            destroyed_at TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE changes (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            guest_id TEXT NOT NULL,
            what TEXT NOT NULL,
            at TEXT NOT NULL
        ) STRICT""",
    ),
    # Whose address it was that an order was refused for.
    (
        "ALTER TABLE guests ADD COLUMN conflict_address TEXT",
        "ALTER TABLE guests ADD COLUMN conflict_mac TEXT",
    ),
    # What happened to each guest, and the order that ended one: who rebuilds from here asks for both.
    (
        """CREATE TABLE history (
            step INTEGER PRIMARY KEY AUTOINCREMENT,
            guest_id TEXT NOT NULL,
            at TEXT NOT NULL,
            reason TEXT NOT NULL,
            message TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX history_of_guest ON history (guest_id, step)",
        """INSERT INTO history (guest_id, at, reason, message)
            SELECT guest_id, updated, reason, message FROM guests ORDER BY updated, guest_id""",
        'ALTER TABLE tombstones ADD COLUMN "order" TEXT',
        "ALTER TABLE tombstones ADD COLUMN namespace TEXT",
        "ALTER TABLE tombstones ADD COLUMN name TEXT",
    ),
    # In which order guests start, and what a person at the host wants of them.
    (
        "ALTER TABLE guests ADD COLUMN accepted_at TEXT NOT NULL DEFAULT ''",
        "UPDATE guests SET accepted_at = updated",
        "ALTER TABLE guests ADD COLUMN wish TEXT",
        "ALTER TABLE guests ADD COLUMN wish_by TEXT",
        "ALTER TABLE guests ADD COLUMN wish_at TEXT",
        "ALTER TABLE tombstones ADD COLUMN forgotten TEXT NOT NULL DEFAULT ''",
    ),
    # What was done to a guest once.
    (operations.TABLE,),
    # A refused order keeps nothing of what is the guest's own: see `agent.refusals`.
    (
        """UPDATE guests SET "order" = json_object(
            'key', '',
            'payload', '' || json_remove(
                json_extract("order", '$.payload'),
                '$.spec.userData', '$.userDataSecret', '$.userDataDigest', '$.labels', '$.annotations'
            ),
            'signature', '')
            WHERE outcome = 'Refused'
            AND CASE WHEN json_valid("order") THEN json_valid(json_extract("order", '$.payload')) ELSE 0 END""",
    ),
    # Of which interface the address was that an order was refused for.
    ("ALTER TABLE guests ADD COLUMN conflict_interface TEXT",),
    # Whether a machine that is off was ended by a reboot of its host.
    ("ALTER TABLE guests ADD COLUMN boot TEXT NOT NULL DEFAULT ''",),
)


class StoreTooNewError(TerminalError):
    """A later version of the agent wrote this database."""

    reason = "StoreTooNew"


def check(connection: sqlite3.Connection) -> int:
    """Return the database's version; 0 is one that was never written.

    Raises:
        StoreTooNewError: it is a later one than this agent knows.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(STEPS):
        raise StoreTooNewError(
            f"the agent's database is of version {version}, and this agent knows {len(STEPS)}: install the agent that "
            "wrote it, or a newer one; guests run on meanwhile"
        )
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to this version.

    Raises:
        StoreTooNewError: it is of a later version.
    """
    version = check(connection)
    for number, statements in enumerate(STEPS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number:d}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
