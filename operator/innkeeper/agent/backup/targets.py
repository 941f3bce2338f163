"""What a place for backups is; a directory and an S3 bucket are the kinds that there are.

Names sort by when they were given. Only what this host wrote by this naming is ever listed or removed.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from innkeeper.errors import InnkeeperError

MAX_LISTED = 20_000  # names of backups of one host; more is no place that is pruned
_MOMENT = "%Y%m%dT%H%M%S.%fZ"


class BackupFailedError(InnkeeperError):
    """A place for backups did not do what it should; an agent tries the next backup all the same."""

    reason = "BackupFailed"


class BackupTarget(Protocol):
    """A place for the backups of one host. A call has a deadline, or hangs in a thread of its own."""

    async def take(self, copy: Path, *, now: datetime) -> None:
        """Keep a copy that lies on this host, by the next name, then remove the oldest beyond a number.

        Raises:
            BackupFailedError, OSError: it was not kept; what was kept before is still there.
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


def next_name(host: str, now: datetime, kept: Sequence[str]) -> str:
    """Return what the next backup is called: `<host>.<UTC time>.db`, and behind all that are kept, the oldest first.

    Where one of them is named after a time to come, by a clock that was wrong, the next microsecond of that is taken.
    Otherwise that one would be the newest for years, and a restore would take it.

    Raises:
        BackupFailedError: there is no later name.
    """
    moment = now.astimezone(UTC)
    if kept:
        try:
            moment = max(moment, _moment_of(kept[-1]) + timedelta(microseconds=1))
        except OverflowError as error:
            raise BackupFailedError(
                f"no name is behind that of {kept[-1]}: move that backup away", retryable=False
            ) from error
    return f"{host}.{moment.strftime(_MOMENT)}.db"


def of_host(names: Iterable[str], host: str) -> list[str]:
    """Return those that are backups of this host, the oldest first.

    Raises:
        BackupFailedError: there are too many to be backups that somebody prunes.
    """
    form = re.compile(rf"{re.escape(host)}\.\d{{8}}T\d{{6}}\.\d{{6}}Z\.db", re.ASCII)
    found: list[str] = []
    for name in names:
        if form.fullmatch(name) is None or not _names_a_time(name):
            continue
        if len(found) == MAX_LISTED:
            raise BackupFailedError(
                f"there are more than {MAX_LISTED} backups of {host}: remove old ones by hand, then try again",
                retryable=False,
            )
        found.append(name)
    return sorted(found)


def surplus(before: Sequence[str], *, keep: int) -> Sequence[str]:
    """Return which of a host's backups go once another one is kept behind them."""
    return before[: max(0, len(before) - keep + 1)]


def _names_a_time(name: str) -> bool:
    try:
        _moment_of(name)
    except ValueError:
        return False
    return True


def _moment_of(name: str) -> datetime:
    return datetime.fromisoformat(name.removesuffix(".db").partition(".")[2])
