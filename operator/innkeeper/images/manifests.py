"""The manifests of inspected images: in a directory where the admin gave one, else in memory, the newest.

A manifest that was lost is made again, from the image, when a host asks for it.
"""

import asyncio
import hashlib
from collections import OrderedDict
from pathlib import Path

import structlog

from innkeeper import whole_files
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.manifest import MAX_BYTES, Manifest

log = structlog.get_logger(__name__)

KEPT_BYTES = 256 * 1024**2  # in memory


class Manifests:
    """Manifests by the digest of the image and their own: one image may have several, of different authors."""

    def __init__(self, directory: Path | None, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._directory = directory
        self._kept_bytes = kept_bytes
        self._memory: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    async def keep(self, manifest: Manifest) -> str | None:
        """Keep a manifest and return its digest; None where it is too large to be one."""
        return await self.keep_encoded(manifest.digest, manifest.encode())

    async def keep_encoded(self, digest: str, encoded: bytes) -> str | None:
        """Keep a manifest of the image with a digest, as it was read; the bytes stay what they are."""
        if len(encoded) > MAX_BYTES:
            return None
        own = f"sha256:{hashlib.sha256(encoded).hexdigest()}"
        if self._directory is None:
            self._remember((digest, own), encoded)
            return own
        try:
            await asyncio.to_thread(whole_files.put, self._path(self._directory, digest, own), encoded)
        except OSError as error:
            log.warning("manifest_not_kept", digest=digest, error=error.strerror)
            self._remember((digest, own), encoded)
        return own

    async def get(self, digest: str, own: str) -> bytes | None:
        """Return the manifest with the digest `own` of an image, or None."""
        if (digest, own) in self._memory:
            return self._memory[digest, own]
        if self._directory is None:
            return None
        try:
            encoded = await asyncio.to_thread(self._path(self._directory, digest, own).read_bytes)
        except OSError:
            return None
        return encoded if own == f"sha256:{hashlib.sha256(encoded).hexdigest()}" else None

    def _remember(self, key: tuple[str, str], encoded: bytes) -> None:
        self._memory[key] = encoded
        self._memory.move_to_end(key)
        while sum(map(len, self._memory.values())) > self._kept_bytes:
            self._memory.popitem(last=False)

    @staticmethod
    def _path(directory: Path, digest: str, own: str) -> Path:
        return directory / f"{Digest.parse(digest).hex}.{Digest.parse(own).hex}.json"
