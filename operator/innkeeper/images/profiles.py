"""Boot profiles of images: what guests read first, as hosts told it; kept beside the manifests, else in memory.

A profile decides nothing but an order of fetching, so any host that may read an image may add to it, within bounds.
"""

import asyncio
from collections import OrderedDict
from pathlib import Path

import structlog

from innkeeper import whole_files
from innkeeper.domain.images import profile
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.profile import Profile, ProfileInvalidError

log = structlog.get_logger(__name__)

KEPT = 1000  # in memory


class Profiles:
    """Profiles by the digest of the image."""

    def __init__(self, directory: Path | None, *, kept: int = KEPT) -> None:
        self._directory = directory
        self._kept = kept
        self._memory: OrderedDict[str, Profile] = OrderedDict()

    async def learn(self, digest: str, told: Profile) -> None:
        """Add what one more boot read."""
        known = await self.get(digest)
        new = Profile(chunks=told.chunks) if known is None else known.learn(told)
        if new == known:
            return
        self._memory[digest] = new
        self._memory.move_to_end(digest)
        while len(self._memory) > self._kept:
            self._memory.popitem(last=False)
        if self._directory is not None:
            path = self._path(self._directory, digest)
            try:
                await asyncio.to_thread(whole_files.put, path, profile.encode(new.chunks, boots=new.boots))
            except OSError as error:
                log.warning("profile_not_kept", digest=digest, error=error.strerror)

    async def get(self, digest: str) -> Profile | None:
        """Return what is known of an image, or None."""
        if digest in self._memory or self._directory is None:
            return self._memory.get(digest)
        try:
            return profile.decode(await asyncio.to_thread(self._path(self._directory, digest).read_bytes))
        except (OSError, ProfileInvalidError):
            return None

    @staticmethod
    def _path(directory: Path, digest: str) -> Path:
        return directory / f"{Digest.parse(digest).hex}.profile.json"
