"""What the image server keeps of manifests, as a test reads it: all of one at once."""

from innkeeper.images.manifests import Manifests


async def kept(manifests: Manifests, digest: str, own: str) -> bytes | None:
    """Return the manifest with the digest `own` of an image; None where it is not kept."""
    async with manifests.opened(digest, own) as found:
        return None if found is None else b"".join([piece async for piece in found.pieces()])
