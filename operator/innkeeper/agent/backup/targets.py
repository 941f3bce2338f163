"""Where backups go. A directory is the one kind that there is; a store of objects would be another.

Names sort by time. Only files of this host by this naming are ever removed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from innkeeper.agent.backup.copying import BackupMark, copy_store, put_in_place
from innkeeper.errors import InnkeeperError


class BackupFailedError(InnkeeperError):
    """A backup was not taken; the next one is tried all the same."""

    reason = "BackupFailed"


class BackupTarget(Protocol):
    """A place for the backups of one host. Calls may block: they are made in a thread."""

    def take(self, database: Path, mark: BackupMark, *, moment: str) -> None:
        """Keep a copy of the database as of `moment` (sortable, fit for a name), then remove the oldest beyond a number.

        Raises:
            BackupFailedError, OSError, sqlite3.Error: it was not kept; what was kept before is still there.
        """


@dataclass(frozen=True)
class BackupDirectory:
    """A directory, as a rule a mounted one. It is never made: where a mount is missing, nothing is written."""

    directory: Path
    host: str
    keep: int

    def take(self, database: Path, mark: BackupMark, *, moment: str) -> None:
        """Copy under a temporary name, then rename; the oldest go."""
        if not self.directory.is_dir():
            raise BackupFailedError(f"{self.directory} is no directory: is it mounted?")
        partial = self.directory / f".{self.host}.partial"
        copy_store(database, partial, mark)
        newest = self.directory / f"{self.host}.{moment}.db"
        put_in_place(partial, newest)
        # A clock that was set back must not have the newest removed as the oldest.
        before = sorted(path for path in self.directory.glob(f"{self.host}.*.db") if path != newest)
        for old in before[: max(0, len(before) - self.keep + 1)]:
            old.unlink(missing_ok=True)
