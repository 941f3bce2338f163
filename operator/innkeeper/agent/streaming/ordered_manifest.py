"""The manifest that a signed order names: from this host, or from the image server; never another one.

Whoever made it, it is of the image that the order names only as far as it says so: whether the bytes are those of the
image's digest is found out once all of them are here.
"""

import asyncio
import hashlib

from innkeeper.agent.imaging.files import ImageFiles, stream_name
from innkeeper.agent.imaging.partial import DownloadFailedError, on_disk
from innkeeper.agent.streaming.origin import ImageServerOrigin
from innkeeper.domain.images import manifest
from innkeeper.domain.images.manifest import Chunks
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import TerminalError


class ManifestWrongError(TerminalError):
    """The manifest is not the one that the order names, or is of other bytes."""

    reason = GuestReason.IMAGE_DIGEST_MISMATCH


async def ordered_manifest(image: OrderImage, origin: ImageServerOrigin, files: ImageFiles) -> Chunks:
    """Return the manifest that the order names, and keep it on this host.

    Raises:
        ManifestWrongError: there is another one, or it is of another image.
        DownloadFailedError: the image server does not answer, or has none.
    """
    path = files.manifest(stream_name(image))
    encoded = await asyncio.to_thread(path.read_bytes) if await asyncio.to_thread(path.exists) else None
    if encoded is None or _digest(encoded) != image.manifest_digest:
        encoded = await origin.manifest()
        if encoded is None:
            raise DownloadFailedError("the image server has no manifest of the image any more")
        if _digest(encoded) != image.manifest_digest:
            raise ManifestWrongError("the image server's manifest is not the one that the order names")
        await on_disk(files.write, path, encoded)
    try:
        return await asyncio.to_thread(manifest.read, encoded, digest=image.digest, size=image.size)
    except manifest.ManifestInvalidError as error:
        raise ManifestWrongError(error.message) from error


def _digest(encoded: bytes) -> str:
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
