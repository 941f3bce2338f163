"""The agent's database: SQLite in WAL mode, each commit synced to the disk, all of it on one thread.

It keeps what this host promised and never decides anything. Its files are readable for their owner alone: orders hold
user data.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from innkeeper.agent.store import opening, operations, reading, rows
from innkeeper.agent.store.highwater import HighWater
from innkeeper.agent.store.operations import OperationRecord
from innkeeper.agent.store.records import GuestRecord, Tombstone
from innkeeper.domain.host_store import PAGE, Change, Events, Snapshot, Step

T = TypeVar("T")

_SHOWN = "Shown"
Connection = sqlite3.Connection


class Store:
    """One host's database. Use `Store.open`.

    Every call may raise StoreDamagedError or StoreUnusableError; then nothing of it was kept.
    """

    def __init__(
        self, path: Path, connection: Connection, thread: ThreadPoolExecutor, high_water: HighWater
    ) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread
        self._high_water = high_water
        self.store_id = high_water.store_id

    @classmethod
    async def open(cls, path: Path, *, host: str, new_id: str) -> "Store":
        """Open the database of `host`, or make it with the store ID `new_id`.

        Raises:
            StoreDamagedError: it is damaged; nothing was changed.
            StoreIsBackupError: it is a copy, which becomes a store only by `restore`.
            StoreOfAnotherHostError: it is another host's.
            StoreTooNewError: a later version of the agent wrote it.
            StoreUnusableError: SQLite cannot work.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        loop = asyncio.get_running_loop()
        try:
            connection, high_water = await loop.run_in_executor(thread, _open, path, host, new_id)
        except BaseException:
            thread.shutdown()
            raise
        return cls(path, connection, thread, high_water)

    @property
    def changes_made(self) -> int:
        """How many rows this process has changed: another number means that there is something new to back up."""
        return self._connection.total_changes

    async def guests(self) -> list[GuestRecord]:
        """Return every guest."""
        return await self._read(rows.guests)

    async def tombstone(self, guest_id: str) -> Tombstone | None:
        """Return the tombstone of a guest, if there is one."""
        found = await self._read(lambda c: rows.tombstone(c, guest_id))
        return None if found is None else found[0]

    async def put(self, record: GuestRecord, *, what: str, at: str, steps: Sequence[Step] = ()) -> None:
        """Keep a guest and the steps that led here; a tombstone of an earlier epoch goes."""

        def work(connection: Connection) -> None:
            rows.put_guest(connection, record, at=at)
            rows.add_steps(connection, record.guest_id, steps)
            rows.log(connection, record.guest_id, what, at=at)

        await self._write(work)

    async def bury(self, tombstone: Tombstone, *, at: str) -> None:
        """Replace a guest by its tombstone."""

        def work(connection: Connection) -> None:
            rows.put_tombstone(connection, tombstone, at=at)
            operations.forget(connection, tombstone.guest_id)
            rows.log(connection, tombstone.guest_id, tombstone.what, at=at)

        await self._write(work)

    async def add_steps(self, steps: Mapping[str, Sequence[Step]], *, at: str) -> None:
        """Keep steps of guests, by Guest ID, which were shown and are told to whoever follows the change log."""

        def work(connection: Connection) -> None:
            for guest_id, taken in steps.items():
                rows.add_steps(connection, guest_id, taken)
                rows.log(connection, guest_id, _SHOWN, at=at)

        await self._write(work)

    async def operations(self) -> list[OperationRecord]:
        """Return every operation that was begun and is kept."""
        return await self._read(operations.read)

    async def put_operation(self, record: OperationRecord) -> None:
        """Keep how far an operation is; its end is a step of its guest's history, too."""

        def work(connection: Connection) -> None:
            operations.put(connection, record)
            if (end := operations.end_of(record)) is not None:
                rows.add_steps(connection, record.guest_id, [end])
                rows.log(connection, record.guest_id, end.reason, at=end.at)

        await self._write(work)

    async def meta(self, key: str) -> str | None:
        """Return one setting that was kept."""
        return await self._read(lambda c: rows.meta(c, key))

    async def keep_meta(self, **settings: str) -> None:
        """Keep settings, all of them or none."""
        statement = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
        await self._write(lambda c: c.executemany(statement, settings.items()))

    async def changes(self, *, after: int = 0, limit: int = PAGE) -> list[Change]:
        """Return the change log behind a sequence number, the oldest first."""
        return await self._read(lambda c: rows.changes(c, after=after, limit=limit))

    async def snapshot(self, *, after: str | None = None, limit: int = PAGE) -> Snapshot:
        """Return one page of all that is held: the Guest IDs behind `after`."""
        return await self._read(lambda c: reading.snapshot(c, after=after, limit=limit))

    async def events(self, *, store_id: str, since: int, limit: int = PAGE) -> Events:
        """Return what changed since a cursor.

        Raises:
            LogGapError: the store is another one, or its log does not reach to that place.
        """
        return await self._read(lambda c: reading.events(c, store_id=store_id, since=since, limit=limit))

    async def close(self) -> None:
        """Finish what was begun and close the database."""

        def work() -> None:
            with ExitStack() as stack:
                stack.callback(self._high_water.close)
                stack.callback(self._connection.close)

        await asyncio.get_running_loop().run_in_executor(self._thread, work)
        self._thread.shutdown(wait=False)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._run("BEGIN", work)

    async def _write(self, work: Callable[[Connection], object]) -> None:
        def and_log_end(connection: Connection) -> int:
            work(connection)
            return rows.log_end(connection)

        await self._run("BEGIN IMMEDIATE", and_log_end, then=self._high_water.reach)

    async def _run(
        self, begin: str, work: Callable[[Connection], T], *, then: Callable[[T], None] | None = None
    ) -> T:
        """Do work in a transaction; `then` takes what it returned once that is on the disk."""

        def transaction() -> T:
            self._connection.execute(begin)
            try:
                answer = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # some errors roll back by themselves
                    self._connection.execute("ROLLBACK")
                raise
            if then is not None:
                then(answer)
            return answer

        def told() -> T:
            with opening.told(self._path):
                return transaction()

        return await asyncio.get_running_loop().run_in_executor(self._thread, told)


def _open(path: Path, host: str, new_id: str) -> tuple[Connection, HighWater]:
    connection, store_id = opening.open_to_write(path, host=host, new_id=new_id)
    try:
        high_water = HighWater(path, store_id)
        high_water.reach(rows.log_end(connection))
    except BaseException:
        connection.close()
        raise
    return connection, high_water
