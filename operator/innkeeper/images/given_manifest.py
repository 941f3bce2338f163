"""An image that comes with a manifest: its head is read and checked, and the rest when guests ask for it.

The Image's spec names the manifest's own digest, so the manifest is what its author made. That the whole has the image's
digest is found out by the first host that has all of it.
"""

import asyncio
import hashlib
from contextlib import aclosing
from typing import Protocol

from innkeeper.domain.images import headers, manifest
from innkeeper.domain.images.manifest import Chunks, ManifestInvalidError
from innkeeper.domain.reasons import ImageReason
from innkeeper.errors import InnkeeperError
from innkeeper.images.answers import InspectRequest, Ready
from innkeeper.images.manifests import Manifests
from innkeeper.images.sources.source import Source, SourceError, SourceInfo
from innkeeper.views.catalog import ImageSource


class WrongContentError(InnkeeperError):
    """The bytes themselves are wrong: reading them again gives the same."""

    retryable = False


class Opener(Protocol):
    """Opens what an Image in a namespace names."""

    async def open(self, source: ImageSource, *, namespace: str) -> Source:
        """Return the source, unread."""
        ...

    async def open_beside(self, url: str, *, source: ImageSource, namespace: str) -> Source:
        """Return what lies at a URL and belongs to the image of that source, unread."""
        ...


async def inspected_by_manifest(
    request: InspectRequest, opener: Opener, source: Source, info: SourceInfo, manifests: Manifests
) -> Ready:
    """Return what the image is, by its manifest and its head.

    Raises:
        WrongContentError: the manifest is not the one that the Image names, or the head is not the manifest's.
        SourceError: the source knows no ranges, or either cannot be read.
    """
    if not info.has_ranges:
        raise SourceError(
            "the source cannot be read in parts, which an image with a manifest must be: leave spec.manifest out",
            reason=ImageReason.SOURCE_REFUSED,
            retryable=False,
        )
    if request.known is not None and request.known.size != info.size:
        raise WrongContentError(
            f"the image of {request.known.size} bytes has {info.size} now; put it back, or create another Image",
            reason=ImageReason.DIGEST_MISMATCH,
        )
    encoded = await _manifest(request, opener, most=manifest.most_bytes(info.size))
    try:
        chunks = await asyncio.to_thread(manifest.read, encoded, digest=request.digest, size=info.size)
    except ManifestInvalidError as error:
        raise WrongContentError(error.message, reason=ImageReason.DIGEST_MISMATCH) from error
    head = await _head(source, chunks)
    header = headers.parse(head[: headers.HEAD_BYTES], size=info.size, declared=request.format)
    return Ready(
        format=header.format,
        size=info.size,
        virtual_size=header.virtual_size,
        digest=request.digest,
        source_version=info.version,
        manifest_digest=await manifests.keep_encoded(request.digest, encoded),
    )


async def _manifest(request: InspectRequest, opener: Opener, *, most: int) -> bytes:
    if request.manifest is None:
        raise WrongContentError("the Image names no manifest")
    url, namespace = request.manifest.url, request.namespace
    source = await opener.open_beside(url, source=request.source, namespace=namespace)
    size = (await source.stat()).size
    if size > most:
        raise WrongContentError(
            f"the manifest has {size} bytes, and that of an image of this size needs at most {most}: "
            "make it with `innkeeper images manifest`",
            reason=ImageReason.TOO_LARGE,
        )
    encoded = await _read(source, size)
    found = f"sha256:{hashlib.sha256(encoded).hexdigest()}"
    if found != request.manifest.digest:
        raise WrongContentError(
            f"the manifest has the digest {found}, and not {request.manifest.digest} as spec.manifest says",
            reason=ImageReason.DIGEST_MISMATCH,
        )
    return encoded


async def _head(source: Source, chunks: Chunks) -> bytes:
    """Return the first chunks, checked."""
    count = -(-min(headers.HEAD_BYTES, chunks.size) // chunks.chunk_bytes)
    head = await _read(source, chunks.span(count - 1)[1])
    for index in range(count):
        start, end = chunks.span(index)
        if not chunks.matches(index, head[start:end]):
            raise WrongContentError(
                f"bytes {start} to {end} of the image are not those of its manifest",
                reason=ImageReason.DIGEST_MISMATCH,
            )
    return head


async def _read(source: Source, end: int) -> bytes:
    content = bytearray()
    async with aclosing(source.read(0, end)) as pieces:
        async for piece in pieces:
            content += piece
    return bytes(content)
