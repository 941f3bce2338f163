"""The manifests of inspected images: in a directory where the admin gave one, else in memory, the newest.

A manifest that was lost is made again, from the image, when a host asks for it.
"""

import asyncio
import hashlib
from collections import OrderedDict
from pathlib import Path

import structlog

from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.manifest import MAX_BYTES, Manifest

log = structlog.get_logger(__name__)

KEPT_BYTES = 256 * 1024**2  # in memory


class Manifests:
    """Manifests by the digest of the image."""

    def __init__(self, directory: Path | None, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._directory = directory
        self._kept_bytes = kept_bytes
        self._memory: OrderedDict[str, bytes] = OrderedDict()

    async def keep(self, manifest: Manifest) -> str | None:
        """Keep a manifest and return its digest; None where it is too large to be one."""
        return await self.keep_encoded(manifest.digest, manifest.encode())

    async def keep_encoded(self, digest: str, encoded: bytes) -> str | None:
        """Keep a manifest of the image with a digest, as it was read; the bytes stay what they are."""
        if len(encoded) > MAX_BYTES:
            return None
        if self._directory is None:
            self._remember(digest, encoded)
        else:
            try:
                await asyncio.to_thread(_write, self._path(self._directory, digest), encoded)
            except OSError as error:
                log.warning("manifest_not_kept", digest=digest, error=error.strerror)
                self._remember(digest, encoded)
        return f"sha256:{hashlib.sha256(encoded).hexdigest()}"

    async def get(self, digest: str) -> bytes | None:
        """Return the encoded manifest of an image, or None."""
        if digest in self._memory:
            return self._memory[digest]
        if self._directory is None:
            return None
        try:
            return await asyncio.to_thread(self._path(self._directory, digest).read_bytes)
        except OSError:
            return None

    def _remember(self, digest: str, encoded: bytes) -> None:
        self._memory[digest] = encoded
        self._memory.move_to_end(digest)
        while sum(map(len, self._memory.values())) > self._kept_bytes:
            self._memory.popitem(last=False)

    @staticmethod
    def _path(directory: Path, digest: str) -> Path:
        return directory / f"{Digest.parse(digest).hex}.json"


def _write(path: Path, encoded: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(encoded)
    partial.replace(path)
