"""The manifests of inspected images: in a directory where the admin gave one, else in memory, those that were used last.

A manifest that was lost is made again, from the image, when a host asks for it. None is read whole to be given.
"""

import errno
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO, RawIOBase

import structlog

from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.manifest import MAX_BYTES, Manifest
from innkeeper.images.kept_files import KeptFiles
from innkeeper.images.opened import opened
from innkeeper.images.sources.source import SourceError
from innkeeper.to_its_end import in_thread

log = structlog.get_logger(__name__)

KEPT_BYTES = 256 * 1024**2  # in memory
PIECE_BYTES = 256 * 1024


class Manifests:
    """Manifests by the digest of the image and their own: one image may have several, of different authors."""

    def __init__(self, files: KeptFiles | None, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._files = files
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
        if self._files is None:
            self._remember((digest, own), encoded)
            return own
        try:
            await in_thread(self._files.put, _name(digest, own), encoded)
        except OSError as error:
            log.warning("manifest_not_kept", digest=digest, error=error.strerror)
            self._remember((digest, own), encoded)
        return own

    @asynccontextmanager
    async def opened(self, digest: str, own: str) -> AsyncIterator["OpenManifest | None"]:
        """Give the manifest with the digest `own` of an image, or None where it is not kept."""
        async with AsyncExitStack() as stack:
            encoded = self._memory.get((digest, own))
            if encoded is not None:
                self._memory.move_to_end((digest, own))
                yield OpenManifest(BytesIO(encoded), len(encoded))
            elif self._files is not None:
                checked = opened(partial(_checked, self._files, digest, own))
                try:
                    found = await stack.enter_async_context(checked)
                except OSError:
                    found = None
                yield found
            else:
                yield None

    def _remember(self, key: tuple[str, str], encoded: bytes) -> None:
        self._memory[key] = encoded
        self._memory.move_to_end(key)
        while sum(map(len, self._memory.values())) > self._kept_bytes:
            self._memory.popitem(last=False)


@dataclass(frozen=True)
class OpenManifest:
    """A manifest that may be sent; `size` in bytes."""

    file: RawIOBase | BytesIO
    size: int

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield it in pieces, from its beginning.

        Raises:
            SourceError: the disk does not give it.
        """
        left = self.size
        while left:
            try:
                piece = await in_thread(self.file.read, min(left, PIECE_BYTES))
            except OSError as error:
                raise SourceError(f"the manifest cannot be read: {error.strerror}; ask again soon") from error
            if not piece:
                raise SourceError("the manifest became shorter while it was read; ask again soon")
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """Let the file go."""
        self.file.close()


def _checked(files: KeptFiles, digest: str, own: str) -> OpenManifest:
    """Open a file that is what its name says.

    Raises:
        OSError: there is none.
    """
    with ExitStack() as unless_given:
        file = unless_given.enter_context(files.open(_name(digest, own)))
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != Digest.parse(own).hex:
            raise OSError(errno.EIO, "the manifest is not the one that was kept")
        size = file.tell()
        file.seek(0)
        unless_given.pop_all()
    return OpenManifest(file, size)


def _name(digest: str, own: str) -> str:
    return f"{Digest.parse(digest).hex}.{Digest.parse(own).hex}.json"
