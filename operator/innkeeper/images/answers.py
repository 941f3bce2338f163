"""What the operator asks the image server about an image, and the answers; the wire form is their JSON.

The agent's question for a URL is here too. Nothing here is trusted: names and digests are checked when they are
decoded.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from innkeeper.domain.images import digests
from innkeeper.views.catalog import Image, ImageSource, ManifestSource

Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z", max_length=253)]
Digest = Annotated[str, Meta(pattern=rf"^({digests.PATTERN})\Z")]


class Message(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Settings that all messages share."""


class Preparing(Message, frozen=True, tag_field="state", tag="Preparing"):
    """The image is being read."""

    progress: str


class Ready(Message, frozen=True, tag_field="state", tag="Ready"):
    """The image is what its spec says. Sizes in bytes, of what hosts get."""

    format: str
    size: int
    virtual_size: int
    digest: str
    content_digest: str | None = None  # of the unpacked bytes, where the source is compressed
    manifest_digest: str | None = (
        None  # None: the source cannot be read in parts, or is too large for a manifest
    )
    source_version: str | None = None  # what the source said of itself when its bytes were read


class Failed(Message, frozen=True, tag_field="state", tag="Failed"):
    """The image cannot be used; `reason` is an ImageReason, `retryable` says whether time alone may mend it."""

    reason: str
    message: str
    retryable: bool


class InspectRequest(Message, frozen=True):
    """The operator's question; equal questions share one reading.

    `known` is what was answered before, of an image that is Ready: its source is then only asked whether it changed.
    """

    namespace: Name
    name: Name
    source: ImageSource
    format: str
    digest: Digest
    compression: str | None = None
    manifest: ManifestSource | None = None
    max_bytes: Annotated[int, Meta(gt=0)] | None = None
    known: Ready | None = None

    @classmethod
    def of(cls, image: Image, *, known: Ready | None = None) -> "InspectRequest":
        """Return the question about an image as its object is now."""
        return cls(
            namespace=image.metadata.namespace,
            name=image.metadata.name,
            source=image.spec.source,
            format=image.spec.format,
            digest=image.spec.digest,
            compression=image.spec.compression,
            manifest=image.spec.manifest,
            known=known,
        )


InspectAnswer = Preparing | Ready | Failed


class UrlRequest(Message, frozen=True):
    """The agent's question."""

    guest_id: str


class UrlAnswer(Message, frozen=True):
    """A URL and when it ends (RFC 3339)."""

    url: str
    expires_at: str
    packed_url: str | None = None
    manifest_url: str | None = None
    profile_url: str | None = None


class ErrorAnswer(Message, frozen=True):
    """The body of every answer that is an error."""

    reason: str
    message: str
