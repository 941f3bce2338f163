"""Image, Flavor and Cluster as the hot path reads them."""

import msgspec

from innkeeper.views.host import Network
from innkeeper.views.meta import Condition, Meta, Resources, View


class SecretRef(View, frozen=True, kw_only=True):
    """A Secret in the Image's own namespace."""

    name: str


class HttpSource(View, frozen=True, kw_only=True):
    """An image behind a URL, other URLs of the same bytes, and what opens them."""

    url: str
    mirrors: list[str] = []
    secret_ref: SecretRef | None = None


class DirectorySource(View, frozen=True, kw_only=True):
    """An image in the image server's own directory."""

    path: str


class ImageSource(View, frozen=True, kw_only=True):
    """Exactly one of the two is set."""

    http: HttpSource | None = None
    directory: DirectorySource | None = None


class ManifestSource(View, frozen=True, kw_only=True):
    """A manifest that was made beforehand."""

    url: str
    digest: str  # sha256 of the manifest's bytes


class ImageSpec(View, frozen=True, kw_only=True):
    """A bootable disk image."""

    source: ImageSource
    format: str  # raw or qcow2
    digest: str  # of the bytes at the source; see domain/images/digests.py
    compression: str | None = None  # Gzip, Xz or Zstd: how it lies at the source
    manifest: ManifestSource | None = None
    shared: bool = False


class ImageStatus(View, frozen=True, kw_only=True):
    """What the image server found."""

    observed_generation: int = -1
    digest: str | None = None
    content_digest: str | None = None  # of a compressed image's unpacked bytes
    format: str | None = None
    size: str | None = None  # bytes on the wire, as a quantity
    virtual_size: str | None = None  # bytes of the disk, as a quantity
    manifest_digest: str | None = None  # without one, hosts read the image in order
    source_version: str | None = None  # what its source said of itself when it was read
    progress: str | None = None  # for people: `37%`
    conditions: list[Condition] = []


class Image(View, frozen=True, kw_only=True):
    """An image that guests may boot."""

    metadata: Meta
    spec: ImageSpec
    status: ImageStatus = ImageStatus()

    @property
    def served_digest(self) -> str:
        """The digest of the bytes that hosts get; empty while nobody knows what a compressed image unpacks to."""
        return self.spec.digest if self.spec.compression is None else self.status.content_digest or ""

    @property
    def facts(self) -> tuple[object, ...]:
        """What decides whether guests may boot it, and what they are told: all but how far the image server is."""
        status = msgspec.structs.replace(self.status, progress=None)
        return self.spec, self.metadata.deletion_timestamp, status


class Flavor(View, frozen=True, kw_only=True):
    """A named size."""

    metadata: Meta
    spec: Resources


class ClusterScheduling(View, frozen=True, kw_only=True):
    """How hosts of a Cluster are filled: `Spread` or `Pack`."""

    strategy: str = "Spread"


class ClusterSpec(View, frozen=True, kw_only=True):
    """Hosts that share a network."""

    network: Network
    scheduling: ClusterScheduling = ClusterScheduling()


class ClusterStatus(View, frozen=True, kw_only=True):
    """Counters and readiness."""

    observed_generation: int = -1
    hosts: int = 0
    guests: int = 0
    conditions: list[Condition] = []


class Cluster(View, frozen=True, kw_only=True):
    """A grouping of hosts on one network."""

    metadata: Meta
    spec: ClusterSpec
    status: ClusterStatus = ClusterStatus()
