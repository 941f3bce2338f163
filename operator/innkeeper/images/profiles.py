"""Boot profiles of images: what guests read first, as hosts told it; kept beside the manifests, else in memory.

A profile decides nothing but an order of fetching, so any host that may read an image may add to it, within bounds.
"""

from collections import OrderedDict

import structlog

from innkeeper.domain.images import profile
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.profile import Profile, ProfileInvalidError
from innkeeper.images.kept_files import KeptFiles
from innkeeper.to_its_end import in_thread

log = structlog.get_logger(__name__)

KEPT = 1000  # in memory


class Profiles:
    """Profiles by the digest of the image."""

    def __init__(self, files: KeptFiles | None, *, kept: int = KEPT) -> None:
        self._files = files
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
        if self._files is not None:
            try:
                await in_thread(self._files.put, _name(digest), profile.encode(new.chunks, boots=new.boots))
            except OSError as error:
                log.warning("profile_not_kept", digest=digest, error=error.strerror)

    async def get(self, digest: str) -> Profile | None:
        """Return what is known of an image, or None."""
        if digest in self._memory or self._files is None:
            return self._memory.get(digest)
        try:
            return profile.decode(await in_thread(_read, self._files, _name(digest)))
        except (OSError, ProfileInvalidError):
            return None


def _read(files: KeptFiles, name: str) -> bytes:
    with files.open(name) as file:
        return file.read(profile.MAX_BYTES)


def _name(digest: str) -> str:
    return f"{Digest.parse(digest).hex}.profile.json"
