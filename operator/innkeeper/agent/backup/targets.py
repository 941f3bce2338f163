"""What a place for backups is; a directory and an S3 bucket are the kinds that there are.

Names sort by time. Only what this host wrote by this naming is ever listed or removed.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from innkeeper.agent.backup.copying import BackupMark
from innkeeper.errors import InnkeeperError

MAX_LISTED = 20_000  # names of backups of one host; more is no place that is pruned


class BackupFailedError(InnkeeperError):
    """A place for backups did not do what it should; an agent tries the next backup all the same."""

    reason = "BackupFailed"


class BackupTarget(Protocol):
    """A place for the backups of one host. It gives up by itself: each call has a deadline or blocks a thread only."""

    async def take(self, database: Path, mark: BackupMark, *, moment: str) -> None:
        """Keep a copy of the database as of `moment` (see `moment_of`), then remove the oldest beyond a number.

        Raises:
            BackupFailedError, OSError, sqlite3.Error: it was not kept; what was kept before is still there.
        """

    async def kept(self) -> list[str]:
        """Return the names of this host's backups, the oldest first.

        Raises:
            BackupFailedError, OSError: they cannot be listed.
        """

    async def fetch(self, name: str, into: Path) -> None:
        """Write the backup of this name into a new file that its owner alone may read, whole or not at all.

        Raises:
            BackupFailedError, OSError: it is not there, or it is not what was kept.
        """


def backup_name(host: str, moment: str) -> str:
    """Return what a backup is called; `moment` is a UTC time as 20260101T120000.000000Z."""
    return f"{host}.{moment}.db"


def of_host(names: Iterable[str], host: str) -> list[str]:
    """Return those that are backups of this host, the oldest first.

    Raises:
        BackupFailedError: there are too many to be backups that somebody prunes.
    """
    form = re.compile(rf"{re.escape(host)}\.\d{{8}}T\d{{6}}\.\d{{6}}Z\.db")
    found: list[str] = []
    for name in names:
        if form.fullmatch(name) is None:
            continue
        if len(found) == MAX_LISTED:
            raise BackupFailedError(
                f"there are more than {MAX_LISTED} backups of {host}: remove old ones by hand, then try again",
                retryable=False,
            )
        found.append(name)
    return sorted(found)


def surplus(names: list[str], newest: str, *, keep: int) -> list[str]:
    """Return which of a host's backups go. A clock that was set back must not have the newest removed as the oldest."""
    before = [name for name in names if name != newest]
    return before[: max(0, len(before) - keep + 1)]
