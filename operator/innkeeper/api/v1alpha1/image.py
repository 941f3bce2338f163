"""Image: a bootable disk image.

Users write the spec; the operator writes what the image server found. What an image is never changes: another
content is another Image.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from innkeeper.api.fields import BytesAmount, Conditions, Digest, ObjectName, ObservedGeneration
from innkeeper.api.model import (
    AGE,
    ATOMIC,
    READY,
    ApiModel,
    Column,
    Definition,
    Kind,
    Rule,
    exactly_one,
    immutable,
)

Format = Literal["raw", "qcow2"]
Compression = Literal["Gzip", "Xz", "Zstd"]

_ANOTHER = "create another Image under another name"


Url = Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\s/]+(/\S*)?$")]


class SecretRef(ApiModel):
    """A Secret of the type `innkeeper.dev/image-source`."""

    name: ObjectName
    """Its name. It lies in the Image's own namespace."""


class HttpSource(ApiModel):
    """An image behind a URL."""

    url: Url
    """Where it lies, as `https://...`. Plain `http` works only where the image server's settings allow it."""
    mirrors: Annotated[list[Url], Field(max_length=8), ATOMIC] = Field(default_factory=list)
    """Other URLs of the same bytes, tried in this order where the first does not answer or breaks off."""
    secret_ref: SecretRef | None = None
    """The Secret with the credentials, which the image server shows to the one origin that the Secret names."""


class DirectorySource(ApiModel):
    """An image in the image server's own directory."""

    path: Annotated[
        str,
        Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f]+$"),
        Rule(
            "!self.startsWith('/') && self.split('/').all(part, part != '' && part != '.' && part != '..')",
            "path must be relative to the image server's directory, without '..', '.' or empty parts",
        ),
    ]
    """The file, relative to that directory."""


class ImageSource(ApiModel):
    """Where the image comes from: one of these."""

    rules: ClassVar = (exactly_one("http", "directory"),)

    http: HttpSource | None = None
    """A URL."""
    directory: DirectorySource | None = None
    """A file of the image server's directory."""


ManifestDigest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]


class ManifestSource(ApiModel):
    """A manifest that was made beforehand, by `innkeeper images manifest`."""

    url: Url
    """Where it lies; the rules for an image's own URL hold."""
    digest: ManifestDigest
    """Digest of the manifest's own bytes. Hosts trust it for what each chunk must be."""


class ImageSpec(ApiModel):
    """What the image is. Immutable but for `shared`."""

    rules: ClassVar = (
        immutable("source", _ANOTHER),
        immutable("format", _ANOTHER),
        immutable("digest", _ANOTHER),
        immutable("compression", _ANOTHER),
        immutable("manifest", _ANOTHER),
        Rule(
            "!has(self.compression) || !has(self.manifest)",
            "a manifest is for images that are read in parts, and a compressed one is not: leave manifest out",
            ".manifest",
        ),
    )

    source: ImageSource
    """Where it comes from."""
    format: Format
    """Its format, unpacked where it is compressed; never guessed."""
    digest: Digest
    """Digest of its bytes as they lie at the source: `sha256:` and 64 hex digits, or `sha512:` and 128."""
    compression: Compression | None = None
    """How the whole file is compressed at the source; never guessed. The image server unpacks it once, into its store.
    Leave it out for a qcow2 image whose clusters are compressed: that is part of the format."""
    manifest: ManifestSource | None = None
    """The digests of its chunks, made beforehand: such an image is not read whole before guests may boot from it.
    Its source must know ranges."""
    shared: bool = False
    """Whether guests of other namespaces may boot it."""


class ImageStatus(ApiModel):
    """What the image server found."""

    observed_generation: ObservedGeneration = -1
    """The generation that the operator has seen."""
    digest: Digest | None = None
    """The digest that was checked."""
    content_digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)] | None = None
    """Digest of what a compressed image unpacks to: what hosts get and check."""
    format: Format | None = None
    """The format that was checked."""
    size: BytesAmount | None = None
    """Bytes on the wire to hosts, unpacked where the source is compressed."""
    virtual_size: BytesAmount | None = None
    """Bytes of the disk that the guest sees."""
    manifest_digest: ManifestDigest | None = None
    """Digest of the manifest that names each chunk's digest: guests boot while such an image is still arriving."""
    source_version: Annotated[str, Field(max_length=64)] | None = None
    """What the source said of itself when its bytes were checked: their number and a hash of its ETag. While it says
    the same it is not read again."""
    progress: Annotated[str, Field(max_length=32)] | None = None
    """For people: how far the image server is, as `37%`."""
    conditions: Conditions = Field(default_factory=list)
    """`Ready`: the image may be booted. `Stalled` while it is not and time alone does not mend it. `SourceUnreachable`
    while it is Ready and its source cannot be looked at again.
    `InUse` while it is deleted and guests are bound to it."""


class Image(Kind):
    """A bootable disk image."""

    definition: ClassVar = Definition(
        plural="images",
        short_name="img",
        scope="Namespaced",
        columns=(
            READY,
            Column("Size", ".status.size"),
            Column("Progress", ".status.progress"),
            Column("Format", ".status.format", wide=True),
            Column("Digest", ".status.digest", wide=True),
            AGE,
        ),
    )

    spec: ImageSpec
    """What the image is."""
    status: ImageStatus = ImageStatus()
    """What the image server found; written by the operator."""
