"""Opens the agent's database, after it was looked at without a write: a damaged one is refused and left as it is.

What is looked at: that SQLite can read it, its pages, its version, whose it is, and that it has not lost committed lines.
A refusal says what to do; guests run on meanwhile, since their machines need no agent.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import structlog

from innkeeper.agent.store import highwater, rows, schema
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError, TerminalError

BACKUP_MARK = "backup"  # the setting that tells a copy from a store
CHECK_WITHIN_S = 20.0
_LOCKED_FOR_S = 10.0
_HEADER_BYTES = 100  # https://www.sqlite.org/fileformat2.html
_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's virtual machine
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_WHAT_TO_DO = (
    "nothing was changed and guests run on; move the files {name}* of {directory} aside and restore a backup "
    "of them (docs/how-to/inspect-a-host.md)"
)

log = structlog.get_logger(__name__)


class StoreDamagedError(TerminalError):
    """The database cannot be read, or lost what was committed."""

    reason = "StoreDamaged"

    def __init__(self, path: Path, why: str) -> None:
        what_to_do = _WHAT_TO_DO.format(name=path.name, directory=path.parent)
        super().__init__(f"the agent's database {path} is damaged ({why}): {what_to_do}")


class StoreUnusableError(InnkeeperError):
    """The database cannot be used now: the disk is full or fails, or somebody holds a lock on it."""

    reason = "StoreUnusable"


class StoreIsBackupError(TerminalError):
    """The database is a backup."""

    reason = "StoreIsBackup"


class NotAStoreError(TerminalError):
    """The file is no agent's database."""

    reason = "NotAStore"


class StoreOfAnotherHostError(TerminalError):
    """The database belongs to a host of another name."""

    reason = "StoreOfAnotherHost"


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell SQLite's errors as our own.

    Raises:
        StoreDamagedError: SQLite found damage.
        StoreUnusableError: SQLite cannot work.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        is_full = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
        reason = GuestReason.HOST_DISK_FULL if is_full else None
        raise StoreUnusableError(
            f"the agent's database {path} cannot be used: {error}", reason=reason
        ) from error
    except sqlite3.DatabaseError as error:
        # The low byte is the kind; the others say more of it.
        if error.sqlite_errorcode & 0xFF in _DAMAGE:
            raise StoreDamagedError(path, str(error)) from error
        raise


def open_to_write(path: Path, *, host: str, new_id: str) -> tuple[sqlite3.Connection, str]:
    """Open the database of `host`, or make it with the store ID `new_id`; return it with its store ID.

    Raises:
        StoreDamagedError: it is damaged.
        StoreTooNewError: a later version of the agent wrote it.
        StoreOfAnotherHostError: it is another host's.
        StoreIsBackupError: it is a copy, which becomes a store only by `restore`.
        StoreUnusableError: SQLite cannot work.
    """
    # The hypervisor passes through to the disks of guests, and lists nothing.
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    check(path)
    # SQLite gives its -wal and -shm files the mode of the database.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_LOCKED_FOR_S)
    try:
        with told(path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            schema.migrate(connection)
            return connection, _own_id(connection, path, host, new_id)
    except BaseException:
        connection.close()
        raise


def host_of(path: Path) -> str:
    """Return the name of the host that a database belongs to.

    Raises:
        NotAStoreError: it is no agent's database.
        StoreDamagedError: SQLite found damage.
        StoreUnusableError: SQLite cannot work.
    """
    with open_to_read(path) as connection:
        has_settings = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        host = rows.meta(connection, "host") if has_settings else None
    if host is None:
        raise NotAStoreError(f"{path} is no agent's database: it names no host")
    return host


@contextmanager
def open_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database for reading alone, be an agent at work on it or not.

    Raises:
        FileNotFoundError: there is none.
        StoreDamagedError: SQLite found damage, here or in the body of the context.
        StoreUnusableError: SQLite cannot work.
    """
    if path.stat().st_size < _HEADER_BYTES:  # SQLite would take it for new, and remove the log beside it
        raise StoreDamagedError(path, "the file ends before its header does")
    with told(path):
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_LOCKED_FOR_S)
        with closing(connection):
            yield connection


def check(path: Path) -> None:
    """Look at the database that is there, if one is. A connection that only reads writes no log back.

    Raises:
        StoreDamagedError: it is damaged.
        StoreTooNewError: a later version of the agent wrote it.
        StoreUnusableError: SQLite cannot work.
    """
    reached = highwater.read(path)
    if not path.exists() or path.stat().st_size == 0:
        wal = path.with_name(f"{path.name}-wal")
        if reached is not None or (wal.exists() and wal.stat().st_size):
            raise StoreDamagedError(
                path, "the file is empty or gone, and what lies beside it says that it was not"
            )
        return
    with open_to_read(path) as connection:
        found = _quick_check(connection)
        if found != "ok":
            raise StoreDamagedError(path, found)
        version = schema.check(connection)
        if version and rows.meta(connection, BACKUP_MARK) is not None:
            raise StoreIsBackupError(
                f"{path} is a backup, which may be older than orders since: move it away and use "
                "`innkeeper agent restore`"
            )
        if reached is not None:
            _check_reached(connection, path, reached, is_new=version == 0)


def _check_reached(
    connection: sqlite3.Connection, path: Path, reached: highwater.Reached, *, is_new: bool
) -> None:
    end, store_id = (0, None) if is_new else (rows.log_end(connection), rows.meta(connection, "store_id"))
    if store_id != reached.store_id:
        raise StoreDamagedError(path, f"it is not the store {reached.store_id} that was written here last")
    if end < reached.seq:
        why = f"its change log ends at line {end}, and line {reached.seq} was committed"
        raise StoreDamagedError(path, why)


def _quick_check(connection: sqlite3.Connection) -> str:
    """Return `ok`, or the first thing that is wrong. A check that takes too long is left: guests wait for the agent."""
    end = time.monotonic() + CHECK_WITHIN_S
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        log.warning("store_check_cut_short", after_s=CHECK_WITHIN_S)
        return "ok"
    finally:
        connection.set_progress_handler(None, 0)
    return str(found).replace("\n", "; ")


def _own_id(connection: sqlite3.Connection, path: Path, host: str, new_id: str) -> str:
    connection.execute(
        "INSERT OR IGNORE INTO meta (key, value) VALUES ('store_id', ?), ('host', ?)", (new_id, host)
    )
    kept = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('store_id', 'host')"))
    if kept["host"] != host:
        raise StoreOfAnotherHostError(
            f"{path} is the database of the host {kept['host']!r}, not of {host!r}: "
            "give each host a --state-dir of its own"
        )
    return str(kept["store_id"])
