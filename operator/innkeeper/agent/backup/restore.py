"""Builds a store from a backup: for a person, on a host whose store is gone. It starts nothing.

The store gets an ID of its own, so no order that was signed for the former one counts: what was ordered since the backup
(a guest destroyed, or bound elsewhere) cannot be undone by an older copy. See `start_gate` for what starts then.
"""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from innkeeper import whole_files
from innkeeper.agent.backup.copying import BackupMark
from innkeeper.agent.only_one import only_one
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store import highwater, schema
from innkeeper.agent.store.opening import BACKUP_MARK, StoreDamagedError, StoreOfAnotherHostError, host_of
from innkeeper.agent.store.records import COPIED_AT, TRUSTS_COPY, LocalPower
from innkeeper.errors import TerminalError

MAX_BACKUP_BYTES = 4 * 1024**3
# SQLite's kinds of errors that say nothing of what was copied (https://www.sqlite.org/rescode.html).
_OF_THE_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


class NotRestoredError(TerminalError):
    """Nothing was restored; the message says why."""

    reason = "NotRestored"


@dataclass(frozen=True)
class Restored:
    """What was restored."""

    store_id: str
    former_store_id: str
    taken_at: str
    guests: int


def restore(backup: Path, paths: StatePaths, *, host: str, new_id: str, trusts_copy: bool) -> Restored:
    """Build the store of `host` from a backup, with the store ID `new_id`; the backup stays as it is.

    `trusts_copy`: a person lets guests start by the orders that the copy holds.

    Raises:
        NotRestoredError: there is a store already, or the file is no backup that this agent can read.
        StoreOfAnotherHostError: it is another host's.
        AnotherOneError: an agent works in this directory.
    """
    partial = paths.database.with_name("agent.db.restoring")
    _must_be_there(backup)  # before a lock, and a directory for it, are made
    with only_one(paths.lock, who="agent"):
        _refuse_to_replace(paths.database)
        try:
            _copy(backup, partial)
            restored = _made_a_store(partial, host=host, new_id=new_id, trusts_copy=trusts_copy)
            whole_files.sync(partial)
            whole_files.rename(partial, paths.database)
        finally:
            partial.unlink(missing_ok=True)
    return restored


def _refuse_to_replace(database: Path) -> None:
    """What belongs to another database must not be taken for a part of the new one, either."""
    for found in (database, *_beside(database), highwater.path_of(database)):
        if found.exists():
            raise NotRestoredError(
                f"{found} exists and is never replaced: move it away first, if it is really of no use"
            )


def _beside(database: Path) -> list[Path]:
    """Return the files in which SQLite keeps parts of a database."""
    return [database.with_name(f"{database.name}{suffix}") for suffix in ("-wal", "-shm", "-journal")]


def _must_be_there(backup: Path) -> None:
    try:
        size = backup.stat().st_size
    except OSError as error:
        raise NotRestoredError(f"the backup cannot be copied: {error}") from error
    if size > MAX_BACKUP_BYTES:
        raise NotRestoredError(
            f"{backup} is larger than {MAX_BACKUP_BYTES} bytes: it is no backup of a store"
        )


def _copy(backup: Path, partial: Path) -> None:
    try:
        for earlier in (partial, *_beside(partial)):
            # Of a restore that was killed: SQLite would take its journal for one of the new copy, and undo by it.
            earlier.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        shutil.copyfile(backup, partial)
    except OSError as error:
        raise NotRestoredError(f"the backup cannot be copied: {error}") from error


def _made_a_store(partial: Path, *, host: str, new_id: str, trusts_copy: bool) -> Restored:
    try:
        owner = host_of(partial)
        with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
            mark = _checked(connection)
            if owner != host:
                raise StoreOfAnotherHostError(f"the backup is of the host {owner!r}, not of {host!r}")
            schema.migrate(connection)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE meta SET value = ? WHERE key = 'store_id'", (new_id,))
            connection.execute("DELETE FROM meta WHERE key IN (?, ?)", (BACKUP_MARK, TRUSTS_COPY))
            # Who once said that a guest starts by a copy said so of another copy.
            connection.execute("UPDATE guests SET wish = NULL WHERE wish = ?", (LocalPower.RUNNING,))
            at = (COPIED_AT, mark.taken_at)
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", at)
            if trusts_copy:
                connection.execute("INSERT INTO meta (key, value) VALUES (?, 'yes')", (TRUSTS_COPY,))
            (guests,) = connection.execute("SELECT count(*) FROM guests").fetchone()
            connection.execute("COMMIT")
    except (sqlite3.Error, StoreDamagedError) as error:
        if isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF in _OF_THE_DISK:
            raise NotRestoredError(
                f"the store cannot be written: {error}; the backup is as it was"
            ) from error
        raise NotRestoredError(f"the backup is damaged: {error.__cause__ or error}") from error
    return Restored(new_id, mark.store_id, mark.taken_at, guests)


def _checked(connection: sqlite3.Connection) -> BackupMark:
    problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise NotRestoredError(f"the backup is damaged: {'; '.join(problems)[:300]}")
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (BACKUP_MARK,)).fetchone()
    if row is None:
        raise NotRestoredError(
            "the file is no backup but a store, which may still be in use: only what an agent wrote with "
            "--backup-directory or --backup-url is restored"
        )
    try:
        return msgspec.json.decode(row[0], type=BackupMark)
    except msgspec.MsgspecError as error:
        raise NotRestoredError(f"the backup's mark cannot be read: {error}") from error
