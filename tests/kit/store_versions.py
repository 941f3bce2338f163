"""Databases of a host as the agent of each version made them: SQL text under `tests/fixtures/host_store`, one file each.

A file is written once, with the step that it is for, and never again: hosts have such databases. A new step's is made by
`PYTHONPATH=operator:hack:. python -m tests.kit.store_versions VERSION`. What a version's agent may have written into
what its step brought stands beside it, in `_BROUGHT`.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from innkeeper.agent.store.schema import STEPS

DIRECTORY = Path(__file__).parents[1] / "fixtures" / "host_store"
_ROWS = """
    INSERT INTO meta VALUES ('store_id', 'id-old'), ('host', 'inn-a');
    INSERT INTO guests (guest_id, "order", epoch, serial, namespace, name, outcome, life, status, reason, message,
        updated) VALUES ('g1', 'signed', 2, 3, 'guests', 'web', 'Refused', 'New', 'False', 'AddressInUse', 'taken',
        '2026-01-01T00:00:00Z');
    INSERT INTO tombstones (guest_id, epoch, serial, destroyed_at) VALUES ('g0', 1, 2, '2026-01-01T00:00:00Z');
    INSERT INTO changes (guest_id, what, at) VALUES ('g0', 'Destroyed', '2026-01-01T00:00:00Z'),
        ('g1', 'Refused Running', '2026-01-01T00:00:00Z');
"""
_CONFLICT = "UPDATE guests SET conflict_address = '10.0.0.9', conflict_mac = '52:54:00:00:00:01';"
# By the version whose step made room for it: rows of an agent at work, in every table and column of that version.
_BROUGHT = {
    3: """
    INSERT INTO history (guest_id, at, reason, message) VALUES ('g1', '2026-01-01T00:00:00Z', 'AddressInUse', 'taken');
    UPDATE tombstones SET "order" = 'signed to destroy', namespace = 'guests', name = 'gone' WHERE guest_id = 'g0';
    """,
    4: """
    INSERT INTO guests (guest_id, "order", epoch, serial, namespace, name, outcome, life, status, reason, message,
        updated, accepted_at, wish, wish_by, wish_at) VALUES ('g4', 'signed', 1, 1, 'guests', 'db', 'Accepted', 'Off',
        'False', 'StoppedAtHost', '', '2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z', 'Stopped', 'alice',
        '2026-01-02T00:00:00Z');
    INSERT INTO tombstones (guest_id, epoch, serial, destroyed_at, forgotten) VALUES ('g5', 1, 1,
        '2026-01-01T00:00:00Z', 'bob at 2026-01-01T00:00:00Z');
    """,
    5: """
    INSERT INTO operations VALUES ('g4', 'reboot-1', 'Reboot', 'Failed', 'run-1', '2026-01-01T00:00:00Z',
        '2026-01-01T00:00:09Z', 'NoAnswer', 'it hangs');
    """,
    7: "UPDATE guests SET conflict_interface = 'eth0' WHERE guest_id = 'g1';",
    8: "UPDATE guests SET boot = 'boot-1' WHERE guest_id = 'g4';",
}


def file_of(version: int) -> Path:
    """Return where the database of a version is written down."""
    return DIRECTORY / f"{version}.sql"


def put(path: Path, version: int) -> None:
    """Make the database that the agent of that version made, with rows in all that it had."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(file_of(version).read_text())
        for brought in (rows for since, rows in _BROUGHT.items() if since <= version):
            connection.executescript(brought)


def blank_columns(path: Path) -> list[str]:
    """Return the columns that hold nothing in any row, as TABLE.COLUMN: a step that loses such a one is not noticed."""
    query = """SELECT tables.name, columns.name, COALESCE(columns.dflt_value, 'NULL')
        FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'"""
    with closing(sqlite3.connect(path)) as connection:
        found = {
            f"{table}.{column}": f'SELECT COUNT(NULLIF("{column}", {default})) FROM {table}'  # noqa: S608 - our own names
            for table, column, default in connection.execute(query)
        }
        return [name for name, count in found.items() if connection.execute(count).fetchone() == (0,)]


def tables(connection: sqlite3.Connection) -> dict[str, str]:
    """Return how each table and index is defined, as SQLite keeps it; how the text is broken into lines says nothing."""
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: " ".join(text.split()) for name, text in found}


def by_steps(version: int) -> sqlite3.Connection:
    """Return an empty database, in memory, that today's steps lead to that version."""
    connection = sqlite3.connect(":memory:")
    for statement in [each for step in STEPS[:version] for each in step]:
        connection.execute(statement)
    return connection


def text_of(version: int) -> str:
    """Return the SQL text of what today's steps make, with its rows."""
    with closing(by_steps(version)) as connection:
        connection.executescript(_ROWS + (_CONFLICT if version > 1 else ""))
        connection.commit()
        return "\n".join([*connection.iterdump(), f"PRAGMA user_version = {version};", ""])


if __name__ == "__main__":
    with file_of(int(sys.argv[1])).open("x") as file:
        file.write(text_of(int(sys.argv[1])))
