"""Takes backups of the store while the agent works: after changes only, and never oftener than it was told to.

A failure is a metric and a line in the log. It stops nothing.
"""

import sqlite3
from dataclasses import dataclass

import structlog

from innkeeper import __version__
from innkeeper.agent.backup.copying import BackupMark
from innkeeper.agent.backup.targets import BackupTarget
from innkeeper.agent.figures import BackupFigures
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.store import Store
from innkeeper.clock import Clock, rfc3339
from innkeeper.errors import InnkeeperError

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Backups:
    """The backups of one host."""

    target: BackupTarget
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
        now = self.clock.now()
        mark = BackupMark(store_id=store.store_id, taken_at=rfc3339(now), agent_version=__version__)
        moment = now.strftime("%Y%m%dT%H%M%S.%fZ")
        try:
            await self.target.take(self.paths.database, mark, moment=moment)
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
