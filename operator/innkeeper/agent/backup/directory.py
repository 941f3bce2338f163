"""Backups in a directory, as a rule a mounted one."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from innkeeper.agent.backup.copying import BackupMark, copy_store, put_in_place, whole_file
from innkeeper.agent.backup.targets import BackupFailedError, backup_name, of_host, surplus


@dataclass(frozen=True)
class BackupDirectory:
    """A directory. It is never made: where it lies inside a mount that is missing, nothing is written."""

    directory: Path
    host: str
    keep: int

    async def take(self, database: Path, mark: BackupMark, *, moment: str) -> None:
        """Copy under a temporary name, then rename; the oldest go."""
        await asyncio.to_thread(self._take, database, mark, moment)

    async def kept(self) -> list[str]:
        """List the directory."""
        return await asyncio.to_thread(self._kept)

    async def fetch(self, name: str, into: Path) -> None:
        """Copy the file."""
        await asyncio.to_thread(self._fetch, name, into)

    def _take(self, database: Path, mark: BackupMark, moment: str) -> None:
        self._must_be_there()
        partial = self.directory / f".{self.host}.partial"
        copy_store(database, partial, mark)
        newest = backup_name(self.host, moment)
        put_in_place(partial, self.directory / newest)
        for old in surplus(self._kept(), newest, keep=self.keep):
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
