"""Copies a store while its agent writes to it, and marks the copy as one. Copies are made beside the store alone.

SQLite's online backup (https://www.sqlite.org/backup.html), in one step over a connection of its own: a reader of a WAL
database holds no writer up, and sees one moment of it. The mark keeps a copy from being used as a store.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from innkeeper import whole_files
from innkeeper.agent.store.opening import BACKUP_MARK
from innkeeper.to_its_end import in_thread


class BackupMark(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a copy says of itself."""

    store_id: str
    taken_at: str
    agent_version: str


@asynccontextmanager
async def copy_beside(database: Path, mark: BackupMark) -> AsyncIterator[Path]:
    """Have a copy beside the database; it is gone afterwards.

    A place that hangs then holds up a file of its own, and no reader of the store, behind which its log would grow.

    Raises:
        OSError: the file cannot be written.
        sqlite3.Error: the database cannot be copied.
    """
    copy = database.with_name(f"{database.name}.sending")
    try:
        await in_thread(copy_store, database, copy, mark)
        yield copy
    finally:
        await asyncio.to_thread(copy.unlink, missing_ok=True)


def copy_store(source: Path, target: Path, mark: BackupMark) -> None:
    """Copy a database into a new file that its owner alone may read, synced to the disk.

    Raises:
        OSError: the file cannot be written.
        sqlite3.Error: the database cannot be copied.
    """
    # Never made: where somebody removed the database, an empty one in its place would end the log beside it.
    only_there = f"{source.absolute().as_uri()}?mode=rw"
    target.unlink(missing_ok=True)
    new_file(target).close()
    try:
        with (
            closing(sqlite3.connect(only_there, uri=True, isolation_level=None, timeout=10)) as read,
            closing(sqlite3.connect(target, isolation_level=None)) as written,
        ):
            read.backup(written)
            written.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
            text = msgspec.json.encode(mark).decode()
            written.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (BACKUP_MARK, text))
        whole_files.sync(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def new_file(path: Path) -> BinaryIO:
    """Open a file to write that was not there, and that its owner alone may read.

    Raises:
        OSError: it is there already, or cannot be made.
    """
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600), "wb")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Have a file that was not there to write to; it is there whole afterwards, or not at all.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    with new_file(path) as file:
        try:
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise
