"""The agent's database: SQLite in WAL mode, each commit synced to the disk, all of it on one thread.

It keeps what this host promised and never decides anything. Its files are readable for their owner alone: orders hold
user data.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from innkeeper.agent.store import schema
from innkeeper.agent.store.records import AddressInUse, ChangeEntry, GuestRecord, Life, Ready, Tombstone
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome
from innkeeper.errors import TerminalError

T = TypeVar("T")

KEPT_CHANGES = 10_000
_PRUNE_EVERY = 500

_PUT = """INSERT OR REPLACE INTO guests
    (guest_id, "order", epoch, serial, namespace, name, outcome, life, status, reason, message,
     conflict_address, conflict_mac, updated)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_GET = """SELECT guest_id, "order", epoch, serial, namespace, name, outcome, life, status, reason, message,
    conflict_address, conflict_mac FROM guests"""


class StoreOfAnotherHostError(TerminalError):
    """The database belongs to a host of another name."""

    reason = "StoreOfAnotherHost"


class Store:
    """One host's database. Use `Store.open`."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, store_id: str) -> None:
        self._connection = connection
        self._thread = thread
        self.store_id = store_id

    @classmethod
    async def open(cls, path: Path, *, host: str, new_id: str) -> "Store":
        """Open the database of `host`, or make it with the store ID `new_id`.

        Raises:
            StoreOfAnotherHostError: it is another host's.
            StoreTooNewError: a later version of the agent wrote it.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        loop = asyncio.get_running_loop()
        try:
            connection, store_id = await loop.run_in_executor(thread, _open, path, host, new_id)
        except BaseException:
            thread.shutdown()
            raise
        return cls(connection, thread, store_id)

    async def guests(self) -> list[GuestRecord]:
        """Return every guest."""
        return await self._run(lambda c: [_record(row) for row in c.execute(_GET)])

    async def tombstone(self, guest_id: str) -> Tombstone | None:
        """Return the tombstone of a guest, if there is one."""

        def work(connection: sqlite3.Connection) -> Tombstone | None:
            row = connection.execute(
                "SELECT epoch, serial FROM tombstones WHERE guest_id = ?", (guest_id,)
            ).fetchone()
            return None if row is None else Tombstone(guest_id, Rank(*row))

        return await self._run(work)

    async def put(self, record: GuestRecord, *, what: str, at: str) -> None:
        """Keep a guest; a tombstone of an earlier epoch goes."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT, (*_row(record), at))
            connection.execute("DELETE FROM tombstones WHERE guest_id = ?", (record.guest_id,))
            _log(connection, record.guest_id, what, at)

        await self._run(work)

    async def bury(self, tombstone: Tombstone, *, at: str) -> None:
        """Replace a guest by its tombstone."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM guests WHERE guest_id = ?", (tombstone.guest_id,))
            connection.execute(
                "INSERT OR REPLACE INTO tombstones (guest_id, epoch, serial, destroyed_at) VALUES (?, ?, ?, ?)",
                (tombstone.guest_id, *tombstone.rank, at),
            )
            _log(connection, tombstone.guest_id, "Destroyed", at)

        await self._run(work)

    async def meta(self, key: str) -> str | None:
        """Return one setting that was kept."""

        def work(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            return None if row is None else str(row[0])

        return await self._run(work)

    async def keep_meta(self, key: str, value: str) -> None:
        """Keep one setting."""
        await self._run(
            lambda c: c.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))
        )

    async def changes(self, *, after: int = 0, limit: int = 1000) -> list[ChangeEntry]:
        """Return the change log behind a sequence number, the oldest first."""
        query = "SELECT seq, guest_id, what, at FROM changes WHERE seq > ? ORDER BY seq LIMIT ?"
        return await self._run(lambda c: [ChangeEntry(*row) for row in c.execute(query, (after, limit))])

    async def close(self) -> None:
        """Finish what was begun and close the database."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def transaction() -> T:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                answer = work(self._connection)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
            return answer

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)


def _open(path: Path, host: str, new_id: str) -> tuple[sqlite3.Connection, str]:
    # The hypervisor passes through to the disks of guests, and lists nothing.
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        schema.migrate(connection)
        return connection, _own_id(connection, path, host, new_id)
    except BaseException:
        connection.close()
        raise


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


def _row(record: GuestRecord) -> tuple[str | int | None, ...]:
    ready, conflict = record.ready, record.conflict
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
        conflict.address if conflict else None,
        conflict.mac if conflict else None,
    )


def _record(row: Sequence[Any]) -> GuestRecord:
    guest_id, order, epoch, serial, namespace, name, outcome, life, status, reason, message, address, mac = (
        row
    )
    return GuestRecord(
        guest_id=guest_id,
        order=order,
        rank=Rank(epoch, serial),
        namespace=namespace,
        name=name,
        outcome=OrderOutcome(outcome),
        life=Life(life),
        ready=Ready(status == str(True), reason, message),
        conflict=None if address is None else AddressInUse(address, mac),
    )


def _log(connection: sqlite3.Connection, guest_id: str, what: str, at: str) -> None:
    cursor = connection.execute(
        "INSERT INTO changes (guest_id, what, at) VALUES (?, ?, ?)", (guest_id, what, at)
    )
    last = cursor.lastrowid or 0
    if last % _PRUNE_EVERY == 0:
        connection.execute("DELETE FROM changes WHERE seq <= ?", (last - KEPT_CHANGES,))
