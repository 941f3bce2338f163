"""The database's tables, and the steps from each version to the next.

A step runs in one transaction with the new `user_version`, so a kill leaves the old version or the new one. A database
from a later version is refused, never guessed at.
"""

import sqlite3

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
)


class StoreTooNewError(TerminalError):
    """A later version of the agent wrote this database."""

    reason = "StoreTooNew"


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to this version.

    Raises:
        StoreTooNewError: it is of a later version.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(STEPS):
        raise StoreTooNewError(
            f"the agent's database is of version {version}, and this agent knows {len(STEPS)}: install a newer agent"
        )
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
