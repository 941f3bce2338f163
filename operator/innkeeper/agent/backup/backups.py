"""Takes backups of the store while the agent works: after changes only, and never oftener than it was told to.

A failure is a metric and a line in the log. It stops nothing: the place is opened for each try anew, so credentials or a
mount that come late count for the next. One that hangs is told of as a failure, and no second try begins while it lasts.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from innkeeper import __version__
from innkeeper.agent.backup.copying import BackupMark, copy_beside
from innkeeper.agent.backup.own_thread import in_own_thread
from innkeeper.agent.backup.targets import BackupTarget
from innkeeper.agent.figures import BackupFigures
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.store import Store
from innkeeper.clock import Clock, rfc3339
from innkeeper.errors import InnkeeperError

log = structlog.get_logger(__name__)

LATE_S = 15 * 60.0
"""When a try without an end counts as failing: so long S3 may take at most, and 4 GiB into a directory at 5 MiB/s."""


@dataclass(frozen=True)
class Backups:
    """The backups of one host. `open_target` may read files, block and fail: it is called in a thread, for each try."""

    open_target: Callable[[], BackupTarget]
    paths: StatePaths
    clock: Clock
    figures: BackupFigures
    every_s: float

    async def run(self, store: Store) -> None:
        """Take backups for ever. What changed before the agent started is not known, so the first is always taken."""
        taken: int | None = None
        while True:
            changes = store.changes_made
            if changes != taken and await self._take(store):
                taken = changes
            await self.clock.sleep(self.every_s)

    async def _take(self, store: Store) -> bool:
        late = asyncio.create_task(self._tell_when_late(), name="backup-late")
        try:
            return await self._try(store)
        finally:
            late.cancel()

    async def _tell_when_late(self) -> None:
        await self.clock.sleep(LATE_S)
        log.warning("backup_hangs", after_s=LATE_S)
        self.figures.failing.set(1)

    async def _try(self, store: Store) -> bool:
        now = self.clock.now()
        try:
            await self._keep(store, now)
        except (InnkeeperError, OSError, sqlite3.Error) as error:
            # Another try may help or not; both are tried, since whoever mends it does not tell us.
            retryable = not isinstance(error, InnkeeperError) or error.retryable
            log.warning("backup_failed", error=str(error), retryable=retryable)
        except Exception:
            log.exception("backup_broke")
        else:
            self.figures.backups.labels("taken").inc()
            self.figures.failing.set(0)
            self.figures.last.set(now.timestamp())
            return True
        self.figures.backups.labels("failed").inc()
        self.figures.failing.set(1)
        return False

    async def _keep(self, store: Store, now: datetime) -> None:
        mark = BackupMark(store_id=store.store_id, taken_at=rfc3339(now), agent_version=__version__)
        target = await in_own_thread(self.open_target)
        async with copy_beside(self.paths.database, mark) as copy:
            await target.take(copy, now=now)
