"""Backups in a directory, as a rule a mounted one."""

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from innkeeper import whole_files
from innkeeper.agent.backup.copying import whole_file
from innkeeper.agent.backup.own_thread import in_own_thread
from innkeeper.agent.backup.targets import BackupFailedError, next_name, of_host, surplus


@dataclass(frozen=True)
class BackupDirectory:
    """A directory. It is never made: where it lies inside a mount that is missing, nothing is written."""

    directory: Path
    host: str
    keep: int

    async def take(self, copy: Path, *, now: datetime) -> None:
        """Write under a temporary name, then rename; the oldest go."""
        await in_own_thread(self._take, copy, now)

    async def kept(self) -> list[str]:
        """List the directory."""
        return await in_own_thread(self._kept)

    async def fetch(self, name: str, into: Path) -> None:
        """Copy the file."""
        await in_own_thread(self._fetch, name, into)

    def _take(self, copy: Path, now: datetime) -> None:
        with copy.open("rb") as source:
            before = self._kept()
            newest = next_name(self.host, now, before)
            partial = self.directory / f".{self.host}.partial"
            partial.unlink(missing_ok=True)  # of an agent that was killed
            with whole_file(partial) as target:
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())
        whole_files.rename(partial, self.directory / newest)
        for old in surplus(before, keep=self.keep):
            (self.directory / old).unlink(missing_ok=True)

    def _kept(self) -> list[str]:
        self._must_be_there()
        return of_host((path.name for path in self.directory.iterdir()), self.host)

    def _fetch(self, name: str, into: Path) -> None:
        self._must_be_there()
        try:
            with (self.directory / name).open("rb") as source, whole_file(into) as target:
                shutil.copyfileobj(source, target)
        except FileNotFoundError as error:
            raise BackupFailedError(f"{self.directory} has no backup {name}", retryable=False) from error

    def _must_be_there(self) -> None:
        if not self.directory.is_dir():
            raise BackupFailedError(f"{self.directory} is no directory: is it mounted?")
