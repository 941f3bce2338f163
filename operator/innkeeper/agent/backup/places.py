"""Opens a place for backups by what a person writes: a directory or file, or s3://BUCKET/PREFIX.

The S3 client is an extra of the package: it is imported only where a URL asks for it.
"""

import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from innkeeper.agent.backup.directory import BackupDirectory
from innkeeper.agent.backup.own_thread import in_own_thread
from innkeeper.agent.backup.targets import BackupTarget
from innkeeper.clock import Clock
from innkeeper.errors import TerminalError

S3_SCHEME = "s3://"
_S3_URL = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>[A-Za-z0-9!_.*'()/-]{1,512}))?/?"
)
_NAME = re.compile(r"[a-z0-9-]+\.[0-9TZ.]+\.db")


class PlaceError(TerminalError):
    """A place for backups cannot be used; the message says what to change."""

    reason = "BackupPlaceInvalid"


def bucket_and_prefix(url: str) -> tuple[str, str | None]:
    """Return what a URL of S3 names; only its words are looked at.

    Raises:
        PlaceError: it is none.
    """
    found = _S3_URL.fullmatch(url)
    prefix = ((found and found["prefix"]) or "").strip("/")
    if found is None or (prefix and not {"", ".", ".."}.isdisjoint(prefix.split("/"))):
        raise PlaceError(f"{url!r} is no place for backups: write s3://BUCKET/PREFIX")
    return found["bucket"], prefix or None


@dataclass(frozen=True, kw_only=True)
class Places:
    """Opens places for the backups of one host. `scratch` takes what is fetched."""

    host: str
    scratch: Path
    environment: Mapping[str, str]
    clock: Clock

    def bucket(self, url: str, *, keep: int = 1) -> BackupTarget:
        """Return a place in a bucket.

        Raises:
            PlaceError: the URL is none, or there is no S3 client.
            S3AccessError, BackupFailedError: what the environment says cannot be used.
        """
        bucket, prefix = bucket_and_prefix(url)
        try:
            from innkeeper.agent.backup import s3, s3_access
        except ImportError as error:
            raise PlaceError("there is no S3 client: install the package innkeeper[s3]") from error
        store = s3_access.bucket_store(
            bucket, prefix, url=url, environment=self.environment, clock=self.clock
        )
        return s3.BackupBucket(store, url, self.host, keep)

    def target(self, place: str) -> BackupTarget:
        """Return the place that a directory or a URL names.

        Raises:
            PlaceError, S3AccessError, BackupFailedError: it cannot be used.
        """
        if place.startswith(S3_SCHEME):
            return self.bucket(place)
        return BackupDirectory(Path(place), self.host, keep=1)

    @asynccontextmanager
    async def backup(self, place: str) -> AsyncIterator[Path]:
        """Have a backup as a file: the one that is named, or the newest of this host in a place that is.

        Raises:
            PlaceError, S3AccessError, BackupFailedError, OSError: there is none, or it cannot be had.
        """
        before, _, name = place.rpartition("/")
        if not place.startswith(S3_SCHEME) and not await in_own_thread(Path(place).is_dir):
            if not await in_own_thread(Path(place).exists):
                raise PlaceError(
                    f"there is no {place}: name a backup, a directory of them, or s3://BUCKET/PREFIX"
                )
            yield Path(place)
            return
        is_named = _NAME.fullmatch(name) is not None
        target = self.target(before if is_named else place)
        if not is_named:
            kept = await target.kept()
            if not kept:
                raise PlaceError(f"{place} has no backup of the host {self.host!r}")
            name = kept[-1]
        with tempfile.TemporaryDirectory(prefix="restoring-", dir=self.scratch) as directory:
            path = Path(directory) / name
            await target.fetch(name, path)
            yield path
