"""What a signed URL permits: the image that its path names, until its time is over."""

from aiohttp import web

from innkeeper.images.callers import NotAllowedError
from innkeeper.images.signing import BlobName, UrlSigner


def permitted(request: web.Request, signer: UrlSigner) -> BlobName:
    """Return the image that a request may read.

    Raises:
        NotAllowedError: its URL is not signed, or not any more.
    """
    blob = BlobName(*(request.match_info[part] for part in ("namespace", "name", "digest")))
    query = request.query
    if not signer.valid(blob, expires=query.get("expires", ""), signature=query.get("signature", "")):
        raise NotAllowedError("the URL is not signed by this server, or its time is over; ask for a new one")
    return blob
