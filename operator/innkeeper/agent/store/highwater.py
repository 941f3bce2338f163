"""How far the change log came, in a small file beside the database: it tells when a database lost what was committed.

SQLite takes a write-ahead log that ends early for one that a kill cut, and an empty file for a new database. This file
is written after each commit and never synced, so it may lag behind the database, but is ahead of it only where
committed lines are gone. An unreadable one counts as none.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import structlog

log = structlog.get_logger(__name__)

_LINE = re.compile(r"(\d{20}) (\S{1,100})\n")


class Reached(NamedTuple):
    """The last line of the log of one store."""

    seq: int
    store_id: str


def path_of(database: Path) -> Path:
    """Return the file beside a database."""
    return database.with_name(f"{database.name}-highwater")


def read(database: Path) -> Reached | None:
    """Return how far the log came, or None where nothing says so."""
    try:
        with path_of(database).open("rb") as file:
            text = file.read(200).decode("ascii", errors="replace")
    except FileNotFoundError:
        return None
    found = _LINE.fullmatch(text)
    return Reached(int(found[1]), found[2]) if found else None


class HighWater:
    """The file, open for writing by one thread. It is a guard and no more: what fails is logged."""

    def __init__(self, database: Path, store_id: str) -> None:
        """Open or make the file; raises OSError where that cannot be done."""
        self._descriptor = os.open(path_of(database), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._written: int | None = None
        self.store_id = store_id

    def reach(self, seq: int) -> None:
        """Note the end of the log. The line is always of the same length, so it is written over the last one."""
        if seq == self._written:
            return
        try:
            os.pwrite(self._descriptor, f"{seq:020d} {self.store_id}\n".encode(), 0)
        except OSError as error:
            log.warning("highwater_not_written", message=str(error))
        else:
            self._written = seq

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
