"""Backups in an S3 bucket, or in any store that speaks S3 with conditional writes. Needs the extra `s3`.

Who may write there is told by the environment or by a file that it names, as to any S3 client, never by an option (see
`s3_access`). A backup is one object, put only where none has its name, with its length and SHA-256 beside it. An
object that is not what these say is not restored. Requests have a deadline each, and so has each call.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import obstore
import structlog
from obstore import exceptions as s3_errors
from obstore.store import S3Store

from innkeeper.agent.backup.copying import whole_file
from innkeeper.agent.backup.targets import BackupFailedError, next_name, of_host, surplus

log = structlog.get_logger(__name__)

MAX_OBJECT_BYTES = 512 * 1024**2  # it is held in memory while it is sent
CALL_S = 300.0  # for all of one call, retries included
_SHA256, _LENGTH = "sha256", "length"
_LISTED_AT_ONCE = 1000
_FINAL = (
    s3_errors.PermissionDeniedError,
    s3_errors.UnauthenticatedError,
    s3_errors.InvalidPathError,
    s3_errors.NotSupportedError,
    s3_errors.UnknownConfigurationKeyError,
)
"""Errors that somebody has to mend; another try alone cannot help."""
_NOT_FOUND = (FileNotFoundError,)  # what the client makes of a bucket or an object that is not there
_SERVER_SAYS = re.compile(r"<Code>(?P<code>\w{1,60})</Code>\s*<Message>(?P<message>[^<]{0,200})")
_LONGEST_WORDS = 300


@dataclass(frozen=True)
class BackupBucket:
    """The backups of one host below a prefix of a bucket."""

    store: S3Store  # of the bucket, with the prefix
    url: str  # for people
    host: str
    keep: int
    call_s: float = CALL_S

    async def take(self, copy: Path, *, now: datetime) -> None:
        """Send the copy, then remove the oldest; a place that refuses that keeps them."""
        content = await asyncio.to_thread(_content_of, copy)
        before = await self._before()
        newest = next_name(self.host, now, before)
        async with self._told(f"keeping {newest}"):
            await self._put(newest, content)
        try:
            async with self._told("removing old backups"):
                for old in surplus(before, keep=self.keep):
                    await obstore.delete_async(self.store, old)
        except BackupFailedError as error:
            log.warning("backups_not_pruned", error=error.message, retryable=error.retryable)

    async def kept(self) -> list[str]:
        """List what lies below the prefix."""
        async with self._told("listing backups"):
            return await self._listed()

    async def fetch(self, name: str, into: Path) -> None:
        """Read the object, and compare it with the length and digest beside it."""
        async with self._told(f"reading {name}"):
            await self._read(name, into)

    async def _before(self) -> list[str]:
        """List what is kept. Where that fails, a backup that is named by the clock alone is better than none."""
        try:
            return await self.kept()
        except BackupFailedError as error:
            log.warning("backups_not_listed", error=error.message, retryable=error.retryable)
            return []

    async def _put(self, name: str, content: bytes) -> None:
        beside: dict[str, str] = {_SHA256: hashlib.sha256(content).hexdigest(), _LENGTH: str(len(content))}
        try:
            await obstore.put_async(
                self.store, name, content, attributes=beside, mode="create", use_multipart=False
            )
        except s3_errors.AlreadyExistsError:
            # Where the answer to our own write was lost, the write was tried again and met itself.
            found = await obstore.get_async(self.store, name)
            if found.meta["size"] != len(content) or _beside(found) != beside:
                raise BackupFailedError(
                    f"{self.url} has another backup {name} already, and it is not replaced: "
                    "do two agents have this host's name?"
                ) from None

    async def _listed(self) -> list[str]:
        names: list[str] = []
        pages = obstore.list(self.store, prefix=None, chunk_size=_LISTED_AT_ONCE)
        async for page in pages:
            names += of_host((each["path"] for each in page), self.host)
            names = of_host(names, self.host)  # sorted, and never more than may be
        return names

    async def _read(self, name: str, into: Path) -> None:
        found = await obstore.get_async(self.store, name)
        beside, size = _beside(found), found.meta["size"]
        if not beside.get(_SHA256) or beside.get(_LENGTH) != str(size) or size > MAX_OBJECT_BYTES:
            raise self._not_what_was_kept(name)
        digest, length = hashlib.sha256(), 0
        with whole_file(into) as target:
            async for chunk in found.stream():
                digest.update(chunk)
                length += len(chunk)
                if length > size:
                    break
                target.write(chunk)
            if length != size or digest.hexdigest() != beside[_SHA256]:
                raise self._not_what_was_kept(name)

    def _not_what_was_kept(self, name: str) -> BackupFailedError:
        return BackupFailedError(
            f"{name} in {self.url} is not what an agent kept there: its length or its SHA-256 differs; "
            "take another backup",
            retryable=False,
        )

    @asynccontextmanager
    async def _told(self, doing: str) -> AsyncIterator[None]:
        """Tell what goes wrong as a failure of a backup, and give up after a time.

        Raises:
            BackupFailedError: it went wrong.
        """
        try:
            with told(doing, self.url):
                async with asyncio.timeout(self.call_s):
                    yield
        except TimeoutError as error:
            raise BackupFailedError(f"{doing} in {self.url}: no end within {self.call_s:.0f} s") from error


@contextmanager
def told(doing: str, url: str) -> Iterator[None]:
    """Tell errors of the client as failures of a backup, with what the server said in its own words, cut to a line.

    Raises:
        BackupFailedError: the client raised an error.
    """
    try:
        yield
    except (s3_errors.BaseError, *_NOT_FOUND) as error:
        retryable = not isinstance(error, (*_FINAL, *_NOT_FOUND))
        raise BackupFailedError(f"{doing} in {url}: {_in_short(str(error))}", retryable=retryable) from error


def _content_of(copy: Path) -> bytes:
    if copy.stat().st_size > MAX_OBJECT_BYTES:
        raise BackupFailedError(
            f"the store is larger than {MAX_OBJECT_BYTES // 1024**2} MiB, the most that is sent to S3: "
            "use --backup-directory",
            retryable=False,
        )
    return copy.read_bytes()


def _in_short(said: str) -> str:
    found = _SERVER_SAYS.search(said)
    words = f"{found['code']}: {found['message']}" if found else said.partition("\n")[0].rpartition(" - ")[2]
    return words[:_LONGEST_WORDS]


def _beside(found: "obstore.GetResult") -> dict[str, str]:
    return {name: found.attributes.get(name, "") for name in (_SHA256, _LENGTH)}
